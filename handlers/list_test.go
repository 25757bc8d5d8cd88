package handlers_test

import (
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/backend/backendtest/memory"
	"github.com/entrepot-io/entrepot/infra/testenv"
	"github.com/entrepot-io/entrepot/mirror"
	"github.com/entrepot-io/entrepot/upstream/upstreamtest"
)

func TestStaleListsHaveWarning(t *testing.T) {
	reg := upstreamtest.Start(t, upstreamtest.Options{})
	image := reg.Image("library/app", "1", 100)
	reg.Tag("library/app", "2", image.Digest)
	base, err := url.Parse(reg.URL())
	require.NoError(t, err)
	clock := testenv.NewClock()
	f := serveWith(t, base, &memory.Store{Now: clock.Now}, "", mirror.Config{Now: clock.Now, KeepDeleted: keepDeleted})
	missing := "/v2/app/manifests/sha256-" + image.Digest.Encoded() + ".sig"
	answers := map[string]int{
		"/v2/app/tags/list":                          http.StatusOK,
		"/v2/app/tags/list?n=1&ns=docker.io":         http.StatusOK,
		"/v2/app/referrers/" + image.Digest.String(): http.StatusOK,
		missing:                 http.StatusNotFound,
		"/v2/app/tags/list?n=x": http.StatusBadRequest,
		"/v2/app/referrers/" + image.Digest.String() + "?n=-1": http.StatusBadRequest,
	}
	for path, status := range answers {
		a := f.get(t, path)
		require.Equal(t, status, a.StatusCode, "%s: %s", path, a.body)
		assert.Empty(t, a.Header.Get("Warning"))
	}
	reg.Stop()
	clock.Advance(time.Hour)
	for path, status := range answers {
		a := f.get(t, path)
		require.Equal(t, status, a.StatusCode, "%s: %s", path, a.body)
		if status != http.StatusBadRequest {
			assert.Equal(t, `110 - "Response is Stale"`, a.Header.Get("Warning"), path)
			assert.NotEmpty(t, a.Header.Get("Age"))
		}
	}
	a := f.get(t, "/v2/app/tags/list?n=1&ns=docker.io")
	assert.Equal(t, "/v2/app/tags/list?last=1&n=1&ns=docker.io", nextLink(t, a))
	head, err := http.Head(f.URL + "/v2/app/tags/list")
	require.NoError(t, err)
	head.Body.Close()
	assert.Equal(t, http.StatusOK, head.StatusCode)
	assert.Equal(t, "application/json", head.Header.Get("Content-Type"))
	assert.Positive(t, head.ContentLength)
}
