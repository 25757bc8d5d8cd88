package main_test

import (
	"fmt"
	"net/http"
	"os"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/infra/testenv"
)

// Limits in bytes that fit the smallest instances of serverless platforms.
const (
	maxProgram  = 30_000_000  // size of the released program
	maxRedirect = 128_000_000 // memory of a process that redirects
)

func TestReleasedProgramIsSmallInSizeAndMemory(t *testing.T) {
	t.Parallel()
	const blobs, clients, requests = 500, 32, 1000
	w := newCluster(t)
	w.program = testenv.ReleasedProgram(t)
	info, err := os.Stat(w.program)
	require.NoError(t, err)
	assert.LessOrEqual(t, info.Size(), int64(maxProgram))

	var paths []string
	for i := range blobs {
		content := fmt.Sprint("blob ", i)
		d := digest.FromString(content)
		w.bucket.put(t, "public/blobs/sha256/"+d.Encoded(), []byte(content))
		paths = append(paths, "/v2/"+fillRepo+"/blobs/"+d.String())
	}
	r := w.start(t, byHops)
	idle := r.PeakMemory(t)
	transport := &http.Transport{MaxIdleConnsPerHost: clients}
	var wg sync.WaitGroup
	for client := range clients {
		wg.Go(func() {
			for i := range requests {
				req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.url(paths[(client*31+i)%blobs]), nil)
				if !assert.NoError(t, err) {
					return
				}
				resp, err := transport.RoundTrip(req)
				if !assert.NoError(t, err) {
					return
				}
				resp.Body.Close()
				if !assert.Equal(t, http.StatusTemporaryRedirect, resp.StatusCode) {
					return
				}
			}
		})
	}
	wg.Wait()
	peak := r.PeakMemory(t)
	t.Logf("the released program has %.1f MB; its memory is %.1f MB before and %.1f MB after %d redirects to %d blobs for %d clients",
		float64(info.Size())/1e6, float64(idle)/1e6, float64(peak)/1e6, clients*requests, blobs, clients)
	assert.LessOrEqual(t, peak, int64(maxRedirect))
}
