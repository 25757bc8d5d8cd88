// Package link configures the connections of both S3 SDKs: timeouts for connecting, errors of proxies, and bounds on how
// long a request may wait for the store.
package link

import (
	"net"
	"net/http"
	"syscall"
	"time"
)

const (
	// connectTimeout bounds name resolution and connecting together.
	connectTimeout = 5 * time.Second
	// tlsTimeout bounds the TLS handshake.
	tlsTimeout = 5 * time.Second
)

// Dial configures how a dialer connects.
func Dial(d *net.Dialer) {
	d.Timeout = connectTimeout
	d.Control = func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) { boundUnsent(fd) })
	}
}

// Tune configures a transport beyond what the SDKs do. Its dialer should be configured by Dial.
func Tune(t *http.Transport) {
	t.TLSHandshakeTimeout = tlsTimeout
	t.ResponseHeaderTimeout = 0 // Guard bounds each kind of request
	t.OnProxyConnectResponse = refusedByProxy
}
