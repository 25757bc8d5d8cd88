package upstream

import (
	"net/netip"
	"strings"
)

// reach is a set of kinds of addresses.
type reach uint8

const (
	public    reach = 1 << iota // globally routable
	private                     // of a site, or not routable
	loopback                    // this machine
	linkLocal                   // this link, and the metadata services of clouds
	anywhere  = public | private | loopback | linkLocal
)

func (r reach) String() string {
	switch r {
	case public:
		return "public"
	case loopback:
		return "loopback"
	case linkLocal:
		return "link-local"
	}
	return "private"
}

// beyond returns the addresses that a server at an address of this kind may redirect to: public addresses, those of its own
// kind, and from this machine its site. Only servers on a link may redirect to the link's addresses, which include a
// cloud's metadata service.
func (r reach) beyond() reach {
	if r == loopback {
		return public | private | loopback
	}
	return public | r
}

// kind is a prefix whose addresses are of one kind.
type kind struct {
	prefix netip.Prefix
	reach  reach
}

func kinds(r reach, prefixes ...string) []kind {
	var all []kind
	for _, p := range prefixes {
		all = append(all, kind{netip.MustParsePrefix(p), r})
	}
	return all
}

// special are the prefixes that are not globally routable; the first match counts. They come from IANA's special-purpose
// address registries, https://www.iana.org/assignments/iana-ipv4-special-registry and iana-ipv6-special-registry. The
// metadata services of clouds are added: not all of their addresses are link-local.
var special = concat(
	kinds(linkLocal,
		"169.254.0.0/16", "fe80::/10",
		"100.100.100.200/32",                // Alibaba Cloud's metadata
		"168.63.129.16/32",                  // Azure's
		"192.0.0.192/32",                    // Oracle Cloud's
		"fd00:ec2::/32", "fd20:ce::254/128", // AWS's, Google's
		"fd00:c1::a9fe:a9fe/128", "fd00:42::42/128", // Oracle Cloud's, Scaleway's
	),
	kinds(loopback, "0.0.0.0/8", "127.0.0.0/8", "::/127"),
	kinds(public, // inside 2001::/23, and globally reachable
		"2001:1::1/128", "2001:1::2/128", "2001:1::3/128", "2001:3::/32", "2001:4:112::/48", "2001:20::/28", "2001:30::/28"),
	kinds(private,
		"10.0.0.0/8", "100.64.0.0/10", "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16",
		"198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
		"2001::/23", "2001:db8::/32", "3fff::/20"),
)

func concat(lists ...[]kind) []kind {
	var all []kind
	for _, l := range lists {
		all = append(all, l...)
	}
	return all
}

var (
	globalUnicast = netip.MustParsePrefix("2000::/3") // of IPv6; nothing else is assigned
	sixToFour     = netip.MustParsePrefix("2002::/16")
	nat64         = netip.MustParsePrefix("64:ff9b::/96")
	compatible    = netip.MustParsePrefix("::/96") // deprecated: an IPv4 address in IPv6 form
)

// reachOf returns the kind of an address. An address that embeds an IPv4 address has the kind of that one.
func reachOf(addr netip.Addr) reach {
	addr = addr.Unmap().WithZone("")
	for _, k := range special {
		if k.prefix.Contains(addr) {
			return k.reach
		}
	}
	if addr.Is4() {
		return public
	}
	b := addr.As16()
	switch {
	case nat64.Contains(addr), compatible.Contains(addr):
		return reachOf(netip.AddrFrom4([4]byte(b[12:])))
	case sixToFour.Contains(addr):
		return reachOf(netip.AddrFrom4([4]byte(b[2:6])))
	case globalUnicast.Contains(addr):
		return public
	}
	return private
}

// reachOfHost returns the kind of a host's address if its name is an address or localhost. known reports whether it is.
func reachOfHost(host string) (_ reach, known bool) {
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	if addr, err := netip.ParseAddr(host); err == nil {
		return reachOf(addr), true
	}
	if host == "localhost" || strings.HasSuffix(host, ".localhost") { // RFC 6761 section 6.3
		return loopback, true
	}
	if endsInNumber(host) { // some resolvers take 127.1 and 0x7f000001 for addresses
		return private, true
	}
	return 0, false
}

// endsInNumber reports whether a host cannot be a name, since no top-level domain is a number. WHATWG URL, "ends in a
// number".
func endsInNumber(host string) bool {
	last := host[strings.LastIndexByte(host, '.')+1:]
	if strings.HasPrefix(last, "0x") {
		return strings.Trim(last[2:], "0123456789abcdef") == ""
	}
	return last != "" && strings.Trim(last, "0123456789") == ""
}
