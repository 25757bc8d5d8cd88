package main_test

import (
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestHotHitSendsNoRequestsAndSignsNothing(t *testing.T) {
	t.Parallel()
	w := newCluster(t)
	image := w.upstream.Image(fillRepo, "1", 1<<20)
	r := w.start(t, "ENTREPOT_TAG_TTL=1h", "ENTREPOT_PRESENCE_TTL=1h")
	base := "/v2/" + fillRepo
	request := func() {
		for path, status := range map[string]int{
			base + "/manifests/1":                              http.StatusOK,
			base + "/manifests/" + image.Digest.String():       http.StatusOK,
			base + "/blobs/" + image.Layers[0].Digest.String(): http.StatusTemporaryRedirect,
		} {
			assert.Equal(t, status, r.status(t, http.MethodGet, path), path)
			assert.Equal(t, http.StatusOK, r.status(t, http.MethodHead, path), path)
		}
	}
	require.NoError(t, pull(t, r))
	w.bucket.nothingLeft(t)
	request()
	waitFor(t, "markers of use", func() bool { return len(w.bucket.keys(t, "access/")) == 3 })
	before, upstreamRequests := r.counters(t), w.upstream.Counts().Requests
	for range 100 {
		request()
	}
	assert.Equal(t, before, r.counters(t))
	assert.Equal(t, upstreamRequests, w.upstream.Counts().Requests)
}

// status returns the status of the response, without following redirects.
func (r *replica) status(t *testing.T, method, path string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, r.url(path), nil)
	require.NoError(t, err)
	resp, err := http.DefaultTransport.RoundTrip(req)
	require.NoError(t, err)
	resp.Body.Close()
	return resp.StatusCode
}

var counter = regexp.MustCompile(`(?m)^(entrepot_(?:store_requests|upstream_requests|presign_signatures)_total)(?:\{.*\})? (\d+)$`)

// counters returns the replica's total requests to the bucket and upstreams, and its signatures.
func (r *replica) counters(t *testing.T) string {
	t.Helper()
	sums := map[string]int{}
	for _, m := range counter.FindAllStringSubmatch(r.metrics(t), -1) {
		n, err := strconv.Atoi(m[2])
		require.NoError(t, err)
		sums[m[1]] += n
	}
	require.NotEmpty(t, sums)
	return fmt.Sprint(sums)
}

func TestBlobRemovedFromBucketIsFetchedAgain(t *testing.T) {
	t.Parallel()
	w := newCluster(t)
	blob := w.blob(1, 1<<20)
	r := w.start(t, "ENTREPOT_PRESENCE_TTL=2s")
	r.get(t, blob).complete(t)
	w.bucket.remove(t, blob.key())
	waitFor(t, "the blob is back", func() bool {
		r.status(t, http.MethodGet, blob.path())
		time.Sleep(20 * time.Millisecond)
		return w.bucket.has(t, blob.key())
	})
	r.get(t, blob).complete(t)
}
