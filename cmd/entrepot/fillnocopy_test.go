package main_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestLargeBlobsStoredWithoutCopies(t *testing.T) {
	t.Parallel()
	for name, others := range map[string][]*quirk{
		"copies refused": nil,
		"copies refused, conditions ignored, as by GCS": {{matches: conditional, respond: ignoring}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newCluster(t)
			copies := &quirk{matches: copying, respond: refusing}
			r := w.start(t, "ENTREPOT_STORE="+behindProxy(t, w, append(others, copies)...))
			waitFor(t, "warning", func() bool { return len(r.logged(t, "store cannot copy segments")) > 0 })
			tried := copies.met.Load()
			for n, blob := range []coldBlob{w.blob(1, 2*fillSegment+1234), w.blob(2, 3*fillSegment)} {
				r.get(t, blob).complete(t)
				w.bucket.nothingLeft(t)
				w.bucket.noUploads(t, blob)
				assert.Equal(t, n+1, w.bucket.allVerified(t), "objects in the bucket")
				assert.Equal(t, blob.size(), w.sent(blob), "bytes from the upstream")
			}
			assert.Equal(t, tried, copies.met.Load(), "copies tried")
			assert.Len(t, r.logged(t, "store cannot copy segments"), 1)
		})
	}
}
