package upstream

import (
	"context"
	"net/http"
	"net/url"
	"strings"
)

// maxRedirects of one request to an upstream.
const maxRedirects = 5

// location is the target of an endpoint's redirect, and the addresses that its host may have.
type location struct {
	endpoint *endpoint
	url      string
	allow    reach
}

// checkRedirect follows an upstream's redirects to its storage, and rejects those that it must not follow.
func (e *endpoint) checkRedirect(req *http.Request, via []*http.Request) error {
	req.Header.Del("Referer") // the previous URL may be a signed one
	if len(via) > maxRedirects {
		return unusable("too many redirects")
	}
	if req.URL.Scheme != "https" && (req.URL.Scheme != "http" || e.base.Scheme == "https") {
		return unusable("not following a redirect from %s to %s://%s", e.base.Scheme, printable(req.URL.Scheme, 20), printable(req.URL.Host, 100))
	}
	if e.isOwn(req.URL) {
		return nil
	}
	allow := public
	if j := journeyOf(req.Context()); j != nil {
		allow = j.allow
	}
	if kind, known := reachOfHost(req.URL.Hostname()); known && kind&allow == 0 {
		return &forbiddenError{kind, printable(req.URL.Host, 100)}
	}
	if tell, ok := req.Context().Value(redirectsKey{}).(func(location)); ok {
		tell(location{e, req.URL.String(), allow})
	}
	return nil
}

type redirectsKey struct{}

// withRedirects registers tell to be called with the target of each redirect before the request goes there, after the
// functions registered earlier.
func withRedirects(ctx context.Context, tell func(location)) context.Context {
	last := tell
	if first, ok := ctx.Value(redirectsKey{}).(func(location)); ok {
		last = func(to location) {
			first(to)
			tell(to)
		}
	}
	return context.WithValue(ctx, redirectsKey{}, last)
}

// errMalformedLocation replaces the error of net/http, which contains the URL, possibly a signed one.
var errMalformedLocation = unusable("redirected to a malformed URL")

// checkLocation rejects a redirect that net/http could not follow.
func checkLocation(resp *http.Response) error {
	if to, isRedirect := redirect(resp, resp.Request.URL); isRedirect && to == nil && resp.Header.Get("Location") != "" {
		return errMalformedLocation
	}
	return nil
}

// signatures are parts of the names of query parameters that authorize a URL.
var signatures = []string{"sign", "sig", "token", "credential", "hmac", "jwt", "accesskey", "policy", "expires", "verify"}

// isSigned reports whether a URL carries its own authorization. A second credential would be rejected or leaked.
func isSigned(u *url.URL) bool {
	for name := range u.Query() {
		name = strings.ToLower(name)
		for _, s := range signatures {
			if strings.Contains(name, s) {
				return true
			}
		}
	}
	return false
}
