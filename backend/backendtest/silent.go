package backendtest

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/backend"
)

// Silent checks that requests fail with backend.ErrLate if the server stalls. endpoint is an S3 server, and open opens a
// store at another URL with a bound on stalls (0: the default). Stores of the same test contain the same objects.
func Silent(t *testing.T, endpoint string, open func(t *testing.T, endpoint string, stall time.Duration) backend.Store) {
	const size = 5 << 20 // more than the sockets hold
	data := content("silent", size)
	putting := func(ctx context.Context, s backend.Store, size int) error {
		_, err := s.Put(ctx, "dir/new", bytes.NewReader(data[:size]), int64(size), backend.PutOptions{})
		return err
	}
	copying := func(r *http.Request) bool { return r.Header.Get("X-Amz-Copy-Source") != "" }
	for name, c := range map[string]struct {
		stalls func(*http.Request) bool
		before func(w http.ResponseWriter, r *http.Request, forward http.Handler) // called before the stall
		do     func(ctx context.Context, s backend.Store, parts []backend.Object) error
	}{
		"in the body of a PUT": {isPut, nil, func(ctx context.Context, s backend.Store, _ []backend.Object) error {
			return putting(ctx, s, size)
		}},
		"behind the body of a PUT": {
			isPut, func(_ http.ResponseWriter, r *http.Request, _ http.Handler) { drain(r) },
			func(ctx context.Context, s backend.Store, _ []backend.Object) error { return putting(ctx, s, size) },
		},
		"at a small PUT": {isPut, nil, func(ctx context.Context, s backend.Store, _ []backend.Object) error {
			return putting(ctx, s, 100)
		}},
		"in the body of a GET": {isGet, func(w http.ResponseWriter, r *http.Request, forward http.Handler) {
			recorded := httptest.NewRecorder()
			forward.ServeHTTP(recorded, r)
			for name, values := range recorded.Header() {
				w.Header()[name] = values
			}
			w.WriteHeader(recorded.Code)
			_, err := w.Write(recorded.Body.Bytes()[:1000])
			assert.NoError(t, err)
			assert.NoError(t, http.NewResponseController(w).Flush())
		}, func(ctx context.Context, s backend.Store, parts []backend.Object) error {
			body, _, err := s.Get(ctx, parts[0].Key, backend.Range{})
			if err != nil {
				return err
			}
			defer body.Close()
			_, err = io.Copy(io.Discard, body)
			return err
		}},
		"at a HEAD": {
			func(r *http.Request) bool { return r.Method == http.MethodHead }, nil,
			func(ctx context.Context, s backend.Store, parts []backend.Object) error {
				_, err := s.Stat(ctx, parts[0].Key)
				return err
			},
		},
		"at a listing": {isGet, nil, func(ctx context.Context, s backend.Store, _ []backend.Object) (err error) {
			for _, err = range s.List(ctx, "", "") {
			}
			return err
		}},
		"at a DELETE": {
			func(r *http.Request) bool { return r.Method == http.MethodDelete }, nil,
			func(ctx context.Context, s backend.Store, parts []backend.Object) error {
				return s.Delete(ctx, "dir/none")
			},
		},
		"at a copy": {copying, nil, func(ctx context.Context, s backend.Store, parts []backend.Object) error {
			_, err := compose(ctx, s, "dir/whole", parts, backend.PutOptions{})
			return err
		}},
		"at the completion of an upload": {
			func(r *http.Request) bool { return r.Method == http.MethodPost && r.URL.Query().Has("uploadId") }, nil,
			func(ctx context.Context, s backend.Store, parts []backend.Object) error {
				_, err := compose(ctx, s, "dir/whole", parts, backend.PutOptions{})
				return err
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			forward := Proxy(t, endpoint, func(*http.Request) {})
			var silent atomic.Bool
			over := make(chan struct{})
			proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if !silent.Load() || !c.stalls(r) {
					forward.ServeHTTP(w, r)
					return
				}
				if c.before != nil {
					c.before(w, r, forward)
				}
				<-over
				panic(http.ErrAbortHandler)
			}))
			t.Cleanup(proxy.Close)
			t.Cleanup(func() { close(over) })
			part := put(t, open(t, endpoint, 0), "dir/part", data, backend.PutOptions{})
			s := open(t, proxy.URL, 300*time.Millisecond)
			silent.Store(true)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // so that the test cannot hang
			defer cancel()
			err := c.do(ctx, s, []backend.Object{part})
			require.ErrorIs(t, err, backend.ErrLate)
			require.NotErrorIs(t, err, context.DeadlineExceeded)
			require.True(t, backend.Transient(err), err)
		})
	}
}

func isPut(r *http.Request) bool { return r.Method == http.MethodPut }
func isGet(r *http.Request) bool { return r.Method == http.MethodGet }
