package main_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestAStoreThatCannotCopyGetsBlobsOfSeveralSegmentsAllTheSame(t *testing.T) {
	t.Parallel()
	for name, others := range map[string][]*oddity{
		"a store that refuses copies":                       nil,
		"one that ignores conditions too, as Google's does": {{concerns: conditional, answer: ignoring}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newFillWorld(t)
			copies := &oddity{concerns: copying, answer: refusing}
			r := w.start(t, "ENTREPOT_STORE="+behindProxy(t, w, append(others, copies)...))
			asked := copies.met.Load() // what /readyz tries
			for n, blob := range []coldBlob{w.blob(1, 2*fillSegment+1234), w.blob(2, 3*fillSegment)} {
				r.get(t, blob).complete(t)
				w.bucket.nothingLeft(t)
				w.bucket.noUploads(t, blob)
				assert.Equal(t, n+1, w.bucket.allVerified(t), "objects in the bucket")
				assert.Equal(t, blob.size(), w.sent(blob), "bytes from the upstream")
				if n == 0 {
					assert.Greater(t, copies.met.Load(), asked)
					asked = copies.met.Load()
				}
			}
			assert.Equal(t, asked, copies.met.Load(), "it is not tried again")
			assert.Len(t, r.logged(t, "the store cannot copy segments: blobs of more than one pass through this process once more"), 1)
		})
	}
}
