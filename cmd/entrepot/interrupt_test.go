package main_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// holding is a proxy before a store that does not answer the requests it holds.
type holding struct {
	url  string
	held chan struct{} // closed when it holds one
}

// hold starts a proxy before the cluster's bucket that holds a request that matches, from the second on.
func (w *cluster) hold(t *testing.T, matches func(*http.Request) bool) holding {
	t.Helper()
	endpoint, err := url.Parse(sharedMinIO(t).Endpoint)
	require.NoError(t, err)
	forward := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(endpoint)
		r.Out.Host = r.In.Host // the signature covers it
	}}
	h := holding{held: make(chan struct{})}
	var mu sync.Mutex
	seen := 0
	proxy := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if matches(r) {
			mu.Lock()
			seen++
			hold := seen > 1
			mu.Unlock()
			if hold {
				closeOnce(h.held)
				<-r.Context().Done()
				return
			}
		}
		forward.ServeHTTP(rw, r)
	}))
	t.Cleanup(proxy.Close)
	h.url = proxy.URL
	return h
}

func TestInterruptedCommandsGoOn(t *testing.T) {
	t.Parallel()
	deletes := func(r *http.Request) bool { return r.Method == http.MethodDelete }
	atOnce(t, 2, map[string]struct {
		args  []string
		holds func(*http.Request) bool
		done  func(t *testing.T, w *cluster)
		late  bool // replicas notice only when they look again
	}{
		"gc": {
			args: []string{"gc", "--max-size", "1B", "--grace", "1s", "--wait"}, holds: deletes,
			done: func(t *testing.T, w *cluster) { assert.Empty(t, w.listed(t, "ls", "--digests")) },
		},
		"rm": {
			args: []string{"rm", "docker.io/*", "--grace", "1s", "--wait"}, holds: deletes,
			done: func(t *testing.T, w *cluster) {
				w.run(t, "gc", "--grace", "1s", "--wait") // the tags are gone, so that gc has the rest to do
				assert.Empty(t, w.listed(t, "ls", "--digests"))
			},
		},
		"reset": {
			args: []string{"reset", "--yes"}, holds: deletes, late: true,
			done: func(t *testing.T, w *cluster) { assert.Empty(t, w.bucket.keys(t, "")) },
		},
		"verify": {
			args: []string{"verify", "--jobs", "1"},
			holds: func(r *http.Request) bool {
				return r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/public/blobs/")
			},
			done: func(t *testing.T, w *cluster) {
				assert.EqualValues(t, 3*3, w.bucket.allVerified(t))
				assert.Empty(t, w.bucket.keys(t, "public/verify/"))
			},
		},
	}, func(t *testing.T, c struct {
		args  []string
		holds func(*http.Request) bool
		done  func(t *testing.T, w *cluster)
		late  bool // replicas notice only when they look again
	}) {
		w := newCluster(t)
		w.store = append(w.store, noUse, "ENTREPOT_PRESENCE_TTL=1s", "ENTREPOT_TAG_TTL=1s")
		r := w.start(t)
		pullAll := func() (err error) {
			for i := range 3 {
				err = errors.Join(err, pullFully(t.Context(), r.url("/v2/library/app"), fmt.Sprint(i)))
			}
			return err
		}
		for i := range 3 {
			w.upstream.Image("library/app", fmt.Sprint(i), 1000+int64(i))
		}
		require.NoError(t, pullAll())
		waitFor(t, "the images are stored", func() bool { return w.usage(t).Fills.Objects == 0 && len(w.listed(t, "ls")) == 3 })

		h := w.hold(t, c.holds)
		cmd := w.command(t, append(c.args, "--store", fmt.Sprintf("minio+%s/%s", h.url, w.bucket.name))...)
		var stderr strings.Builder
		cmd.Stderr = &stderr
		require.NoError(t, cmd.Start())
		waitFor(t, "the command is at work", func() bool {
			select {
			case <-h.held:
				return true
			default:
				return false
			}
		})
		require.NoError(t, cmd.Process.Signal(syscall.SIGINT))
		began := time.Now()
		require.Error(t, cmd.Wait())
		t.Logf("ended after %v", time.Since(began))
		assert.Equal(t, 1, cmd.ProcessState.ExitCode())
		assert.Contains(t, stderr.String(), "interrupted")

		if !c.late {
			require.NoError(t, pullAll())
		}
		waitFor(t, "nothing is broken", func() bool { return pullAll() == nil })
		waitFor(t, "the lease has expired, if it could not be removed", func() bool {
			again := w.run(t, c.args...)
			if again.exit != 0 {
				require.Contains(t, again.stderr, "is at work")
			}
			return again.exit == 0
		})
		c.done(t, w)
	})
}
