package backendtest

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/backend"
)

// Proxy returns a handler that calls see for each request and passes it to the server at endpoint.
func Proxy(t *testing.T, endpoint string, see func(*http.Request)) http.Handler {
	t.Helper()
	to, err := url.Parse(endpoint)
	require.NoError(t, err)
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(to)
		r.Out.Host = r.In.Host // which is signed
	}}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		see(r)
		proxy.ServeHTTP(w, r)
	})
}

// Wire checks that a store only sends what all S3 servers understand. endpoint is an S3 server, and open opens a store at
// another URL.
func Wire(t *testing.T, endpoint string, open func(t *testing.T, endpoint string) backend.Store) {
	var (
		mu   sync.Mutex
		seen []*http.Request
	)
	proxy := httptest.NewServer(Proxy(t, endpoint, func(r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		seen = append(seen, r.Clone(t.Context()))
	}))
	t.Cleanup(proxy.Close)
	s := open(t, proxy.URL)

	small, large := content("small", 1000), content("large", PartSize+1000)
	for _, data := range [][]byte{nil, small, large} {
		put(t, s, "dir/a", data, backend.PutOptions{Metadata: map[string]string{"a": "b"}})
		put(t, s, "dir/a", data, backend.PutOptions{SHA256: sha(data)})
		for _, o := range []backend.PutOptions{{}, {SHA256: sha(data)}} {
			_, err := s.Put(t.Context(), "dir/b", stream{t, bytes.NewReader(data)}, int64(len(data)), o)
			require.NoError(t, err)
		}
	}
	part := put(t, s, "dir/part", small, backend.PutOptions{})
	_, err := compose(t.Context(), s, "dir/whole", []backend.Object{part}, backend.PutOptions{})
	require.NoError(t, err)
	requireObject(t, s, "dir/whole", small)
	_, err = s.Stat(t.Context(), "dir/whole")
	require.NoError(t, err)
	require.Len(t, keys(t, s, "dir/", ""), 4)
	require.NoError(t, s.Delete(t.Context(), "dir/whole"))

	bodies := 0
	for _, r := range seen {
		what := r.Method + " " + r.URL.String()
		for name := range r.Header {
			for _, bad := range []string{"X-Amz-Trailer", "X-Amz-Sdk-Checksum", "X-Amz-Checksum", "X-Amz-Decoded", "Content-Encoding", "Trailer"} {
				require.False(t, strings.HasPrefix(name, bad), "%s has the header %s: %s", what, name, r.Header.Get(name))
			}
		}
		require.Empty(t, r.Trailer, what)
		require.Empty(t, r.TransferEncoding, what)
		require.GreaterOrEqual(t, r.ContentLength, int64(0), what)

		hash, query := r.Header.Get("X-Amz-Content-Sha256"), r.URL.Query()
		require.NotContains(t, hash, "STREAMING", what)
		if r.Method == http.MethodPut && r.ContentLength > 0 {
			bodies++
			// Only parts of a stream are unsigned. Their upload is completed after all of them have arrived.
			require.True(t, len(hash) == 64 || hash == "UNSIGNED-PAYLOAD" && query.Has("partNumber"), "%s: %s", what, hash)
		}
	}
	require.Greater(t, bodies, 10)
}
