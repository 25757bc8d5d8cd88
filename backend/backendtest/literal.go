package backendtest

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/backend"
)

// LiteralConditions checks that If-Match is sent unchanged, since some servers want it without quotes. endpoint is an S3
// server that accepts both, and open opens a store at another URL.
func LiteralConditions(t *testing.T, endpoint string, open func(t *testing.T, endpoint string) backend.Store) {
	var (
		mu   sync.Mutex
		sent []string
	)
	proxy := httptest.NewServer(Proxy(t, endpoint, func(r *http.Request) {
		if etag := r.Header.Get("If-Match"); etag != "" {
			mu.Lock()
			defer mu.Unlock()
			sent = append(sent, etag)
		}
	}))
	t.Cleanup(proxy.Close)
	s := open(t, proxy.URL)
	for _, size := range sizes {
		data := content("literal", size)
		tag := put(t, s, "dir/literal", data, backend.PutOptions{}).ETag
		for _, form := range []func(backend.ETag) backend.ETag{
			func(tag backend.ETag) backend.ETag { return tag },
			func(tag backend.ETag) backend.ETag { return backend.ETag(strings.Trim(string(tag), `"`)) },
		} {
			given := form(tag)
			data = content(string(given), size)
			tag = put(t, s, "dir/literal", data, ifMatch(given)).ETag
			requireObject(t, s, "dir/literal", data)
			requireRefused(t, s, "dir/literal", size, ifMatch(given))
			require.Equal(t, []string{string(given), string(given)}, sent, "size %d", size)
			sent = nil
		}
	}
	_, err := s.Put(t.Context(), "dir/literal", bytes.NewReader(nil), 0, ifMatch(`""`))
	require.ErrorIs(t, err, backend.ErrPrecondition)
	require.Empty(t, sent)
	_, err = s.Put(t.Context(), "dir/literal", bytes.NewReader(nil), 0, ifMatch("W/\"weak\""))
	require.ErrorIs(t, err, backend.ErrPrecondition)
	require.Equal(t, `W/"weak"`, sent[len(sent)-1])
}
