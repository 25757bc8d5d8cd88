package main_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestErrorNamesRefusingProxy(t *testing.T) {
	t.Parallel()
	for kind, store := range map[string][]string{
		"minio": {"ENTREPOT_STORE=minio://store.example.com/images"},
		"s3":    {"ENTREPOT_STORE=s3://images", "AWS_ENDPOINT_URL=https://store.example.com", "AWS_REGION=us-east-1"},
	} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				assert.Equal(t, http.MethodConnect, r.Method)
				w.WriteHeader(http.StatusForbidden)
			}))
			t.Cleanup(proxy.Close)
			env := append(store, "HTTPS_PROXY="+strings.Replace(proxy.URL, "http://", "http://user:password@", 1), "NO_PROXY=", "no_proxy=", "https_proxy=",
				"AWS_ACCESS_KEY_ID=key", "AWS_SECRET_ACCESS_KEY=secret")
			p := start(t, env...)
			p.WaitUntil(t, "answers", func() error { return answers(p.url("/v2/"), http.StatusOK) })
			status, said, _ := p.get(t, "/readyz")
			assert.Equal(t, http.StatusServiceUnavailable, status)
			name := strings.TrimPrefix(proxy.URL, "http://")
			assert.Contains(t, string(said), "the proxy "+name+" refused to connect to store.example.com:443: 403 Forbidden")
			assert.NotContains(t, string(said), "password")
		})
	}
}
