package main_test

import (
	"io"
	"net/http"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/upstream/upstreamtest"
)

const tagPath = "/v2/" + fillRepo + "/manifests/1"

// tagAnswer is a response to a request for a tag.
type tagAnswer struct {
	*http.Response
	body string
	took time.Duration
}

func (a tagAnswer) isStale() bool { return strings.HasPrefix(a.Header.Get("Warning"), "110 ") }

// tag requests the manifest of the tag.
func (r *replica) tag(t *testing.T, header ...string) tagAnswer {
	t.Helper()
	return r.request(t, tagPath, header...)
}

// request requests a path. header alternates names and values.
func (r *replica) request(t *testing.T, path string, header ...string) tagAnswer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.url(path), nil)
	require.NoError(t, err)
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	began := time.Now()
	resp, err := patient.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return tagAnswer{resp, string(body), time.Since(began)}
}

// has requests the tag and fails the test unless it is the image.
func (r *replica) has(t *testing.T, image upstreamtest.Image) tagAnswer {
	t.Helper()
	a := r.tag(t)
	require.Equal(t, http.StatusOK, a.StatusCode, a.body)
	require.Equal(t, string(image.Body), a.body)
	return a
}

func TestOneHEADPerTTLForAllReplicas(t *testing.T) {
	t.Parallel()
	w := newCluster(t)
	image := w.upstream.Image(fillRepo, "1", 100)
	const ttl = 4 * time.Second
	replicas := w.replicas(t, 2, "ENTREPOT_TAG_TTL="+ttl.String(), "ENTREPOT_RECORD_USE=false")
	began := time.Now()
	for _, r := range replicas {
		r.has(t, image)
	}
	loaded := time.Now()
	fresh := w.upstream.Counts().Requests
	assert.Equal(t, 1, fresh[upstreamtest.ManifestGet])
	assert.Zero(t, fresh[upstreamtest.ManifestHead])
	for _, r := range replicas {
		before := r.counters(t)
		for range 20 {
			r.has(t, image)
		}
		if after := r.counters(t); time.Since(began) < ttl { // otherwise the machine was too slow
			assert.Equal(t, before, after, "requests to the bucket and the upstream")
			assert.Equal(t, fresh, w.upstream.Counts().Requests)
		}
	}

	if time.Since(began) >= ttl {
		loaded = time.Now() // a replica may have revalidated meanwhile
	}
	w.upstream.Faults.Set(upstreamtest.Fault{Kind: upstreamtest.ManifestHead, Delay: 500 * time.Millisecond})
	time.Sleep(time.Until(loaded.Add(ttl)))
	w.upstream.ResetCounts()
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() { assert.False(t, replicas[i%2].has(t, image).isStale()) })
	}
	wg.Wait()
	counts := w.upstream.Counts().Requests
	assert.Equal(t, 1, counts[upstreamtest.ManifestHead])
	assert.Zero(t, counts[upstreamtest.ManifestGet])
	assert.Empty(t, w.bucket.keys(t, "public/fills/"))
}

func TestHangingUpstreamDelaysOnlyFirstClient(t *testing.T) {
	t.Parallel()
	w := newCluster(t)
	image := w.upstream.Image(fillRepo, "1", 100)
	replicas := w.replicas(t, 2, "ENTREPOT_TAG_TTL=1s")
	for _, r := range replicas {
		r.has(t, image)
	}
	time.Sleep(time.Second)
	back := make(chan struct{})
	w.upstream.Faults.Set(upstreamtest.Fault{Hang: true, Until: back})
	for _, r := range replicas {
		first := r.has(t, image)
		assert.True(t, first.isStale())
		assert.NotEmpty(t, first.Header.Get("Age"))
		var slowest time.Duration
		for range 20 {
			again := r.has(t, image)
			assert.True(t, again.isStale())
			slowest = max(slowest, again.took)
		}
		t.Logf("first stale response after %s, 20 more within %s each", first.took, slowest)
		assert.Less(t, slowest, first.took/3)
	}
	moved := w.upstream.Image(fillRepo, "1", 200)
	close(back)
	w.upstream.Faults.Clear()
	for _, r := range replicas {
		waitFor(t, "revalidation by the recovered upstream", func() bool { return r.tag(t).body == string(moved.Body) })
	}
}

func TestCachedTagsServedWhileUpstreamFails(t *testing.T) {
	t.Parallel()
	atOnce(t, 5, map[string]struct {
		fail   func(*cluster)
		status int
		code   string
	}{
		"connection refused": {func(w *cluster) { w.upstream.Stop() }, http.StatusBadGateway, "UNAVAILABLE"},
		"hangs": {func(w *cluster) { w.upstream.Faults.Set(upstreamtest.Fault{Hang: true}) },
			http.StatusGatewayTimeout, "UNAVAILABLE"},
		"429": {func(w *cluster) {
			w.upstream.Faults.Set(upstreamtest.Fault{Status: http.StatusTooManyRequests, Header: http.Header{"Retry-After": {"33"}}})
		}, http.StatusTooManyRequests, "TOOMANYREQUESTS"},
		"500": {func(w *cluster) { w.upstream.Faults.Set(upstreamtest.Fault{Status: http.StatusInternalServerError}) },
			http.StatusBadGateway, "UNAVAILABLE"},
	}, func(t *testing.T, c struct {
		fail   func(*cluster)
		status int
		code   string
	}) {
		w := newCluster(t)
		image := w.upstream.Image(fillRepo, "1", 100)
		// Another upstream, which works.
		other := upstreamtest.Start(t, upstreamtest.Options{})
		elsewhere := other.Image("org/app", "1", 100)
		upstreams := "ENTREPOT_UPSTREAMS=docker.io=" + w.upstream.URL() + ",other.example=" + other.URL()
		replicas := w.replicas(t, 2, "ENTREPOT_TAG_TTL=1s", upstreams)
		replicas[0].has(t, image)
		time.Sleep(time.Second)
		c.fail(w)
		for _, r := range replicas { // the second has never served the tag
			for range 8 {
				assert.True(t, r.has(t, image).isStale())
			}
			var wg sync.WaitGroup
			for range 3 {
				wg.Go(func() {
					status, body, err := r.program.get(t, "/v2/"+fillRepo+"/manifests/none")
					assert.NoError(t, err)
					assert.Equal(t, c.status, status, "%s", body)
					assert.Contains(t, string(body), c.code)
					assert.Contains(t, string(body), "upstream docker.io")
				})
			}
			wg.Wait()
			status, body, err := r.program.get(t, "/v2/other.example/org/app/manifests/1")
			require.NoError(t, err)
			assert.Equal(t, http.StatusOK, status)
			assert.Equal(t, string(elsewhere.Body), string(body))
		}
	})
}

func TestRefreshRevalidatesForAllReplicas(t *testing.T) {
	t.Parallel()
	w := newCluster(t)
	first := w.upstream.Image(fillRepo, "1", 100)
	r := w.start(t, "ENTREPOT_TAG_TTL_RULES=*:1=forever")
	r.has(t, first)
	moved := w.upstream.Image(fillRepo, "1", 200)
	r.has(t, first)

	refresh := exec.Command(w.program, "refresh", fillRepo+":1", "docker.io/library/none:1")
	refresh.Env = append(w.store, "ENTREPOT_UPSTREAMS=docker.io="+w.upstream.URL(), "HOME="+t.TempDir())
	var complaint strings.Builder
	refresh.Stderr = &complaint
	said, err := refresh.Output()
	assert.Equal(t, "docker.io/"+fillRepo+":1 "+moved.Digest.String()+"\n", string(said))
	assert.Error(t, err)
	assert.Equal(t, 1, refresh.ProcessState.ExitCode())
	assert.Contains(t, complaint.String(), "refresh docker.io/library/none:1: upstream docker.io")
	other := w.start(t, "ENTREPOT_TAG_TTL_RULES=*:1=forever")
	other.has(t, moved)
	// A replica that has served the tag reads the record again within a minute.
	waitFor(t, "the replica has the new manifest", func() bool { return r.tag(t).body == string(moved.Body) })
}

func TestClientRevalidateSetting(t *testing.T) {
	t.Parallel()
	w := newCluster(t)
	first := w.upstream.Image(fillRepo, "1", 100)
	strict := w.start(t)
	lenient := w.start(t, "ENTREPOT_CLIENT_REVALIDATE=true")
	strict.has(t, first)
	lenient.has(t, first)
	moved := w.upstream.Image(fillRepo, "1", 200)
	assert.Equal(t, string(first.Body), strict.tag(t, "Cache-Control", "no-cache").body)
	assert.Equal(t, string(first.Body), lenient.tag(t).body)
	assert.Equal(t, string(moved.Body), lenient.tag(t, "Cache-Control", "max-age=0, no-cache").body)
	assert.Equal(t, string(moved.Body), lenient.tag(t).body)

	const list = "/v2/" + fillRepo + "/tags/list"
	assert.NotContains(t, strict.request(t, list).body, `"2"`)
	w.upstream.Tag(fillRepo, "2", moved.Digest)
	assert.NotContains(t, strict.request(t, list, "Cache-Control", "no-cache").body, `"2"`)
	assert.NotContains(t, lenient.request(t, list).body, `"2"`)
	assert.Contains(t, lenient.request(t, list, "Cache-Control", "no-cache").body, `"2"`)
}
