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

// Busy checks that a store retries as S3 demands. endpoint is an S3 server, and open opens a store at another URL.
func Busy(t *testing.T, endpoint string, open func(t *testing.T, endpoint string) backend.Store) {
	t.Run("every seventh request is refused as busy", func(t *testing.T) {
		forward := Proxy(t, endpoint, func(*http.Request) {})
		var requests atomic.Int64
		proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if requests.Add(1)%7 == 0 {
				turnAway(w, r)
				return
			}
			forward.ServeHTTP(w, r)
		}))
		t.Cleanup(proxy.Close)
		run(t, func(t *testing.T) backend.Store { return open(t, proxy.URL) }, func(group string, p promise) bool {
			return !p.once && group != "bodies" && group != "presign" // presign has its own client
		})
	})
	t.Run("errors at the deadline name the reason", func(t *testing.T) {
		proxy := httptest.NewServer(http.HandlerFunc(turnAway))
		t.Cleanup(proxy.Close)
		s := open(t, proxy.URL)
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		_, _, err := s.Get(ctx, "dir/key", backend.Range{})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorContains(t, err, "SlowDown")
		err = backend.InTime(t.Context(), 500*time.Millisecond, func(ctx context.Context) error {
			_, err := s.Put(ctx, "dir/key", bytes.NewReader(nil), 0, backend.PutOptions{})
			return err
		})
		require.ErrorIs(t, err, backend.ErrLate)
		require.ErrorContains(t, err, "SlowDown")
	})
	t.Run("few attempts at a broken store", func(t *testing.T) {
		var requests atomic.Int64
		proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			requests.Add(1)
			drain(r)
			refuse(w, http.StatusInternalServerError, "InternalError")
		}))
		t.Cleanup(proxy.Close)
		data := content("broken", 8<<20)
		s := open(t, proxy.URL)
		for name, do := range map[string]func() error{
			"put": func() error {
				_, err := s.Put(t.Context(), "dir/key", bytes.NewReader(data[:PartSize]), PartSize, backend.PutOptions{SHA256: sha(data[:PartSize])})
				return err
			},
			"put in parts": func() error {
				_, err := s.Put(t.Context(), "dir/key", bytes.NewReader(data), 8<<20, backend.PutOptions{})
				return err
			},
			"stat": func() error { _, err := s.Stat(t.Context(), "dir/key"); return err },
		} {
			requests.Store(0)
			require.Error(t, do(), name)
			require.LessOrEqual(t, requests.Load(), int64(4), name)
		}
	})
	t.Run("final errors are not retried", func(t *testing.T) {
		for _, c := range []struct {
			status int
			code   string
			want   error
		}{
			{http.StatusInsufficientStorage, "XMinioStorageFull", backend.ErrFull},
			{http.StatusForbidden, "QuotaExceeded", backend.ErrFull},
			{http.StatusBadRequest, "XMinioAdminBucketQuotaExceeded", backend.ErrFull},
			{http.StatusMethodNotAllowed, "MethodNotAllowed", backend.ErrReadOnly},
			{http.StatusForbidden, "AllAccessDisabled", backend.ErrReadOnly},
			{http.StatusUnavailableForLegalReasons, "UnavailableForLegalReasons", backend.ErrReadOnly},
			{http.StatusForbidden, "AccessDenied", backend.ErrDenied},
			{http.StatusLengthRequired, "MissingContentLength", nil},
			{http.StatusNotImplemented, "NotImplemented", nil},
		} {
			t.Run(c.code, func(t *testing.T) {
				t.Parallel()
				var requests atomic.Int64
				proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					requests.Add(1)
					drain(r)
					refuse(w, c.status, c.code)
				}))
				defer proxy.Close()
				_, err := open(t, proxy.URL).Put(t.Context(), "dir/key", bytes.NewReader([]byte("x")), 1, backend.PutOptions{})
				require.Error(t, err)
				if c.want != nil {
					require.ErrorIs(t, err, c.want)
					require.True(t, backend.IsUnwritable(err))
				}
				require.EqualValues(t, 1, requests.Load())
			})
		}
	})
}

func turnAway(w http.ResponseWriter, r *http.Request) {
	drain(r)
	refuse(w, http.StatusServiceUnavailable, "SlowDown")
}

// drain reads a request's body, so that its sender sees the response instead of a broken connection.
func drain(r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }

// Cut checks that a store survives a body that breaks off once. endpoint is an S3 server, and open opens a store at another
// URL.
func Cut(t *testing.T, endpoint string, open func(t *testing.T, endpoint string) backend.Store) {
	whole := Proxy(t, endpoint, func(*http.Request) {})
	// at opens a store. GETs that cut selects break in the middle, after a call of meanwhile.
	at := func(t *testing.T, cut func(get int64) bool, meanwhile func()) backend.Store {
		var gets atomic.Int64
		proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method != http.MethodGet || r.URL.Query().Has("list-type") || !cut(gets.Add(1)) {
				whole.ServeHTTP(w, r)
				return
			}
			recorded := httptest.NewRecorder()
			whole.ServeHTTP(recorded, r)
			for name, values := range recorded.Header() {
				w.Header()[name] = values
			}
			w.WriteHeader(recorded.Code)
			_, err := w.Write(recorded.Body.Bytes()[:recorded.Body.Len()/2])
			assert.NoError(t, err)
			assert.NoError(t, http.NewResponseController(w).Flush())
			meanwhile()
			panic(http.ErrAbortHandler)
		}))
		t.Cleanup(proxy.Close)
		return open(t, proxy.URL)
	}
	first := func(get int64) bool { return get == 1 }
	for name, size := range map[string]int{"small": 1000, "large": 3 << 20} {
		data, other := content("cut", size), content("other", size)
		t.Run(name, func(t *testing.T) {
			s := at(t, first, func() {})
			put(t, s, "dir/cut", data, backend.PutOptions{})
			requireObject(t, s, "dir/cut", data)
		})
		t.Run(name+", part", func(t *testing.T) {
			s := at(t, first, func() {})
			put(t, s, "dir/cut", data, backend.PutOptions{})
			got, o := get(t, s, "dir/cut", backend.Range{Offset: 10, Length: int64(size - 20)})
			require.True(t, bytes.Equal(data[10:size-10], got))
			require.EqualValues(t, size, o.Size)
		})
		t.Run(name+", always breaks", func(t *testing.T) {
			s := at(t, func(int64) bool { return true }, func() {})
			put(t, s, "dir/cut", data, backend.PutOptions{})
			body, _, err := s.Get(t.Context(), "dir/cut", backend.Range{})
			if err == nil {
				_, err = io.Copy(io.Discard, body)
				body.Close()
			}
			require.ErrorIs(t, err, io.ErrUnexpectedEOF)
		})
		t.Run(name+", replaced meanwhile", func(t *testing.T) {
			var s backend.Store
			s = at(t, first, func() {
				_, err := s.Put(t.Context(), "dir/cut", bytes.NewReader(other), int64(size), backend.PutOptions{})
				assert.NoError(t, err)
			})
			put(t, s, "dir/cut", data, backend.PutOptions{})
			body, _, err := s.Get(t.Context(), "dir/cut", backend.Range{})
			require.NoError(t, err)
			defer body.Close()
			got, err := io.ReadAll(body)
			if size <= 64<<10 {
				require.NoError(t, err)
				require.Equal(t, other, got)
				return
			}
			require.ErrorContains(t, err, "the object has changed")
			require.True(t, bytes.HasPrefix(data, got), "a mixture of two versions")
		})
	}
}
