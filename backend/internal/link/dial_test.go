package link_test

import (
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/backend/internal/link"
)

func TestConnectTimeouts(t *testing.T) {
	dialer, transport := &net.Dialer{Timeout: time.Hour}, &http.Transport{ResponseHeaderTimeout: time.Second}
	link.Dial(dialer)
	link.Tune(transport)
	require.LessOrEqual(t, dialer.Timeout, 10*time.Second)
	require.Positive(t, transport.TLSHandshakeTimeout)
	require.Zero(t, transport.ResponseHeaderTimeout, "copies take longer")
}

func TestProxyError(t *testing.T) {
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusProxyAuthRequired)
	}))
	defer proxy.Close()
	at, err := url.Parse(proxy.URL)
	require.NoError(t, err)
	at.User = url.UserPassword("user", "secret")
	transport := &http.Transport{Proxy: http.ProxyURL(at)}
	link.Tune(transport)
	_, err = (&http.Client{Transport: transport}).Get("https://store.example.com/")
	var refused *link.ProxyError
	require.ErrorAs(t, err, &refused)
	require.Equal(t, &link.ProxyError{
		Proxy: at.Host, Target: "store.example.com:443", Status: "407 Proxy Authentication Required", Code: 407,
	}, refused)
	require.NotContains(t, err.Error(), "secret")
}
