package upstream

import (
	"net/netip"
	"net/url"
	"strings"

	"golang.org/x/net/publicsuffix"
)

// sameSite reports whether a token service belongs to the registry's site: the same host, or one under the same registrable
// domain, as auth.docker.io is for registry-1.docker.io. Only domains below suffixes on the public suffix list are
// registrable: below others, such as a cluster's svc.cluster.local, every name may have another owner.
func sameSite(registryHost string, service *url.URL) bool {
	r, err := url.Parse("//" + registryHost)
	if err != nil {
		return false
	}
	a, b := bareHost(r), bareHost(service)
	if a == b {
		return a != ""
	}
	domain := registrable(a)
	return domain != "" && domain == registrable(b)
}

func bareHost(u *url.URL) string { return strings.TrimSuffix(strings.ToLower(u.Hostname()), ".") }

// registrable returns the domain that a host's owner registered, or an empty string if that is unknown.
func registrable(host string) string {
	if _, err := netip.ParseAddr(host); err == nil || endsInNumber(host) {
		return ""
	}
	suffix, icann := publicsuffix.PublicSuffix(host)
	// The list has no entry for a suffix of one label that is not ICANN's; this is its default.
	if !icann && !strings.Contains(suffix, ".") {
		return ""
	}
	domain, err := publicsuffix.EffectiveTLDPlusOne(host)
	if err != nil {
		return ""
	}
	return domain
}
