package main_test

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The proxy stands in for the whole Internet and records the requested hosts.
func TestRedirectsToPrivateHostsRefusedBehindProxy(t *testing.T) {
	t.Parallel()
	var (
		mu        sync.Mutex
		location  string
		requested []string
	)
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		switch {
		case req.URL.Host != "registry.example.com":
			requested = append(requested, req.URL.Host)
			_, _ = io.WriteString(w, `{"tags":["secret"],"manifests":[]}`)
		case req.URL.Path == "/v2/":
		default:
			w.Header().Set("Location", location)
			w.WriteHeader(http.StatusTemporaryRedirect)
		}
	}))
	defer proxy.Close()
	var inside int
	victim := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		inside++
		_, _ = io.WriteString(w, `{"tags":["secret"],"manifests":[]}`)
	}))
	defer victim.Close()
	p := start(t, "ENTREPOT_STORE=file:"+t.TempDir(), "ENTREPOT_UPSTREAMS=registry.example.com=http://registry.example.com",
		"HTTP_PROXY="+proxy.URL, "http_proxy="+proxy.URL, "NO_PROXY=", "no_proxy=")
	p.WaitHTTP(t, p.url("/readyz"))

	hosts := []string{strings.TrimPrefix(victim.URL, "http://"), "10.9.9.9", "169.254.169.254", "100.64.0.1", "[::ffff:10.9.9.9]",
		"[64:ff9b::a09:909]", "2130706433", "127.1", "0x7f.1"}
	if name, err := os.Hostname(); err == nil {
		if _, err := net.LookupHost(name); err == nil { // /etc/hosts has a private address
			hosts = append(hosts, name+":8080")
		}
	}
	digest := "sha256:" + strings.Repeat("a", 64)
	for _, host := range hosts {
		mu.Lock()
		location = "http://" + host + "/latest/meta-data"
		mu.Unlock()
		for _, path := range []string{"manifests/1", "manifests/" + digest, "tags/list", "referrers/" + digest, "blobs/" + digest} {
			status, body, err := p.get(t, "/v2/team/app/"+path)
			require.NoError(t, err)
			assert.Equal(t, http.StatusBadGateway, status, "%s at %s: %s", path, host, body)
			assert.NotContains(t, string(body), "secret")
		}
	}
	mu.Lock()
	defer mu.Unlock()
	assert.Empty(t, requested)
	assert.Zero(t, inside)
}
