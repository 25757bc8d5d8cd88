package upstream

import (
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"time"
)

// NewTransportIn is NewTransport with some loopback addresses treated as public.
func NewTransportIn(internet []netip.Prefix, t Timeouts) http.RoundTripper {
	t = t.orDefaults()
	g := newDialGuard(t.Connect, t.transport)
	g.classify = func(addr netip.Addr) reach {
		if slices.ContainsFunc(internet, func(p netip.Prefix) bool { return p.Contains(addr) }) {
			return public
		}
		return reachOf(addr)
	}
	return t.guardIdle(g)
}

// AddressKind names the kind of an address.
func AddressKind(addr netip.Addr) string { return reachOf(addr).String() }

// HostKind names the kind of address that a host name implies, or returns "".
func HostKind(host string) string {
	if r, known := reachOfHost(host); known {
		return r.String()
	}
	return ""
}

// MayName reports whether a server at one address may redirect to another.
func MayName(from, to netip.Addr) bool { return reachOf(from).beyond()&reachOf(to) != 0 }

// SameSite reports whether a token service's host may receive a registry's credential.
func SameSite(registry, service string) bool { return sameSite(registry, &url.URL{Host: service}) }

// Challenges formats the challenges of a 401 as "scheme realm service [scopes]".
func Challenges(headers ...string) []string {
	resp := &http.Response{StatusCode: http.StatusUnauthorized, Header: http.Header{"Www-Authenticate": headers}}
	var all []string
	for _, c := range readChallenges(resp, &url.URL{Scheme: "https", Host: "registry.example.com"}, public) {
		realm := ""
		if c.realm != nil {
			realm = c.realm.String()
		}
		all = append(all, fmt.Sprint(c.scheme, " ", realm, " ", c.service, " ", c.scopes))
	}
	return all
}

// Token parses the response of a token service.
func Token(answer string) (string, time.Duration) { return readToken([]byte(answer)) }

// Doubts returns how many doubts a registry remembers.
func Doubts(r *Registry) int {
	r.doubts.mu.Lock()
	defer r.doubts.mu.Unlock()
	return len(r.doubts.until)
}
