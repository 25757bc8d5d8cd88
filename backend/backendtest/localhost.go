package backendtest

import (
	"net"
	"net/http"
	"strings"
)

// Localhost resolves all names below localhost to this machine, as browsers do, unlike Go.
func Localhost(next http.RoundTripper) http.RoundTripper { return localhost{next} }

type localhost struct{ http.RoundTripper }

func (l localhost) RoundTrip(r *http.Request) (*http.Response, error) {
	if !strings.HasSuffix(r.URL.Hostname(), ".localhost") {
		return l.RoundTripper.RoundTrip(r)
	}
	// A round tripper must not change the caller's request.
	found, u := r.WithContext(r.Context()), *r.URL
	if found.Host == "" {
		found.Host = u.Host
	}
	u.Host = net.JoinHostPort("127.0.0.1", u.Port())
	found.URL = &u
	return l.RoundTripper.RoundTrip(found)
}
