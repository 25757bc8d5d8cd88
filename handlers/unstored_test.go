package handlers_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/handlers"
	"github.com/entrepot-io/entrepot/mirror"
	"github.com/entrepot-io/entrepot/upstream/upstreamtest"
)

// fullStore rejects writes.
type fullStore struct{ signing }

func (fullStore) Put(context.Context, string, io.Reader, int64, backend.PutOptions) (backend.Object, error) {
	return backend.Object{}, backend.ErrFull
}

func newFullWorld(t *testing.T, size int64, miss handlers.Miss) (front, digest.Digest) {
	t.Helper()
	reg := upstreamtest.Start(t, upstreamtest.Options{})
	d := reg.Blob("library/app", upstreamtest.Random(1, size))
	base, err := url.Parse(reg.URL())
	require.NoError(t, err)
	store := fullStore{signing{newFileStore(t), fixedURL(bucketURL)}}
	return serveAs(t, base, store, mirror.Config{}, handlers.Config{Miss: miss}, 0), d
}

func TestUnstorableBlobIsSent(t *testing.T) {
	for _, miss := range []handlers.Miss{handlers.MissStream, handlers.MissRedirect} {
		for _, size := range []int64{0, 100, 100_000, 11 << 20} {
			t.Run(fmt.Sprint(miss, size), func(t *testing.T) {
				f, d := newFullWorld(t, size, miss)
				path := "/v2/app/blobs/" + d.String()
				for range 2 {
					a := f.get(t, path)
					require.Equal(t, http.StatusOK, a.StatusCode, "%s", a.body)
					assert.Equal(t, d, digest.FromBytes(a.body))
				}
				head := f.do(t, http.MethodHead, path)
				assert.EqualValues(t, size, head.ContentLength)
				if size > 1000 {
					a := f.get(t, path, "Range", "bytes=1000-1999")
					assert.Equal(t, http.StatusPartialContent, a.StatusCode)
					assert.Len(t, a.body, 1000)
				}
			})
		}
	}
}

func TestUnstoredBlobRefusedIfBodiesAreLimited(t *testing.T) {
	f, d := newFullWorld(t, 11<<20, handlers.MissRedirect)
	limited := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.Config.Handler.ServeHTTP(w, r.WithContext(handlers.LimitBody(r.Context(), 1<<20)))
	}))
	defer limited.Close()
	a := front{limited, f.core}.get(t, "/v2/app/blobs/"+d.String())
	assert.Equal(t, http.StatusServiceUnavailable, a.StatusCode)
	assert.Contains(t, string(a.body), backend.ErrFull.Error())
}
