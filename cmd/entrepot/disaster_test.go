package main_test

import (
	"net/http"
	"testing"

	"github.com/minio/minio-go/v7"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestLostBucketIsFilledAgain(t *testing.T) {
	t.Parallel()
	w := newCluster(t)
	w.store = append(w.store, "ENTREPOT_PRESENCE_TTL=1s", "ENTREPOT_TAG_TTL=1s")
	w.upstream.Image("library/app", "1", 1000, 2*fillSegment)
	r := w.start(t)
	pull := func() error { return pullFully(t.Context(), r.url("/v2/library/app"), "1") }
	require.NoError(t, pull())

	empty := func() {
		for _, key := range w.bucket.keys(t, "") {
			w.bucket.remove(t, key)
		}
	}
	empty()
	waitFor(t, "a pull after all objects were lost", func() bool { return pull() == nil })
	waitFor(t, "the blobs are stored again", func() bool { return len(w.bucket.keys(t, "public/blobs/")) == 3 })

	waitFor(t, "the bucket is gone", func() bool {
		empty()
		return w.bucket.client.RemoveBucket(t.Context(), w.bucket.name) == nil
	})
	waitFor(t, "readyz says so", func() bool {
		status, _, err := r.program.get(t, "/readyz")
		return err == nil && status == http.StatusServiceUnavailable
	})
	require.NoError(t, w.bucket.client.MakeBucket(t.Context(), w.bucket.name, minio.MakeBucketOptions{}))
	waitFor(t, "a pull into the new bucket", func() bool { return pull() == nil })
	waitFor(t, "readyz is well", func() bool {
		status, _, err := r.program.get(t, "/readyz")
		return err == nil && status == http.StatusOK
	})
	assert.NotEmpty(t, w.bucket.keys(t, "public/blobs/"))
}
