package upstream

import (
	"context"
	"net/http"
)

// route holds the addresses that a request may go to and the one that answered. It travels in the request's context to the
// transport.
type route struct {
	allow reach // the addresses that may be dialled
	came  reach // the kind of address that answered; 0 if it was a proxy, or unknown
}

type routeKey struct{}

// routed sends a request along a route.
func routed(rt http.RoundTripper, req *http.Request, r *route) (*http.Response, error) {
	resp, err := rt.RoundTrip(req.WithContext(context.WithValue(req.Context(), routeKey{}, r)))
	if err != nil {
		return nil, unquoted(err)
	}
	return resp, nil
}

// routeOf returns the route of a request. Without one, the request may go to public addresses only.
func routeOf(req *http.Request) *route {
	if r, ok := req.Context().Value(routeKey{}).(*route); ok {
		return r
	}
	return &route{allow: public}
}

// beyond returns the addresses that the server that answered may redirect to. Behind a proxy, which alone knows the
// address, a name counts as public.
func (r *route) beyond(host string) reach {
	if r.came != 0 {
		return r.came.beyond()
	}
	if literal, known := reachOfHost(host); known {
		return literal.beyond()
	}
	return public
}
