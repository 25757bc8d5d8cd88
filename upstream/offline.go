package upstream

import (
	"errors"
	"net/http"
)

// ErrOffline is the cause of every error of an upstream with Config.Offline.
var ErrOffline = errors.New("offline: the mirror sends no requests to upstreams")

// offlineTransport fails every request, so that no code path can dial.
type offlineTransport struct{}

func (offlineTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Body != nil {
		req.Body.Close()
	}
	return nil, ErrOffline
}

// Offline returns nil, or the *Error with which all requests fail if the upstream is offline.
func (r *Registry) Offline() error {
	if !r.offline {
		return nil
	}
	return r.offlineError()
}

func (r *Registry) offlineError() *Error {
	return r.fail(r.endpoints[len(r.endpoints)-1], nil, ErrOffline)
}
