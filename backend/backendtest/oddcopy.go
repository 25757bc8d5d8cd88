package backendtest

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/backend"
)

// OddCopies checks copies on servers that refuse a quoted x-amz-copy-source-if-match even if it is right, such as Ceph RGW
// 16.2. endpoint is an S3 server, and open opens a store at another URL.
func OddCopies(t *testing.T, endpoint string, open func(t *testing.T, endpoint string) backend.Store) {
	refusing := func(t *testing.T, refused func(etag string) bool) (s backend.Store, met *atomic.Int64) {
		forward := Proxy(t, endpoint, func(*http.Request) {})
		met = new(atomic.Int64)
		proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if etag := r.Header.Get("X-Amz-Copy-Source-If-Match"); etag != "" && refused(etag) {
				met.Add(1)
				refuse(w, http.StatusPreconditionFailed, "PreconditionFailed")
				return
			}
			forward.ServeHTTP(w, r)
		}))
		t.Cleanup(proxy.Close)
		return open(t, proxy.URL), met
	}
	quoted := func(etag string) bool { return strings.HasPrefix(etag, `"`) }

	t.Run("accepted without quotes", func(t *testing.T) {
		s, met := refusing(t, quoted)
		objects, want := parts(t, s, 2, 1000)
		_, err := compose(t.Context(), s, "blobs/whole", objects, backend.PutOptions{})
		require.NoError(t, err)
		requireObject(t, s, "blobs/whole", want)

		before := met.Load()
		require.Positive(t, before)
		_, err = compose(t.Context(), s, "blobs/again", objects, backend.PutOptions{})
		require.NoError(t, err)
		require.Equal(t, before, met.Load(), "the form that works was not remembered")

		put(t, s, objects[0].Key, content("changed", PartSize), backend.PutOptions{})
		_, err = compose(t.Context(), s, "blobs/changed", objects, backend.PutOptions{})
		require.ErrorIs(t, err, backend.ErrPrecondition)
		requireNothing(t, s, "blobs/changed")
	})
	t.Run("never accepted", func(t *testing.T) {
		s, _ := refusing(t, func(string) bool { return true })
		objects, _ := parts(t, s, 2, 1000)
		_, err := compose(t.Context(), s, "blobs/whole", objects, backend.PutOptions{})
		require.ErrorIs(t, err, backend.ErrUnable)
		require.NotErrorIs(t, err, backend.ErrPrecondition)
		requireNothing(t, s, "blobs/whole")
	})
}
