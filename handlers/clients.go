package handlers

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
)

// Clients is a set of clients, by network or by User-Agent. The zero value is empty.
type Clients struct {
	networks []netip.Prefix
	agents   []string
}

// UnmarshalText reads a comma separated list of networks, and of words in a User-Agent.
func (s *Clients) UnmarshalText(text []byte) error {
	*s = Clients{}
	for field := range strings.SplitSeq(string(text), ",") {
		switch field = strings.TrimSpace(field); {
		case field == "":
			return fmt.Errorf("empty entry; write for example 10.7.0.0/16,kaniko")
		case strings.Trim(field, "0123456789abcdefABCDEF.:/") == "" && strings.ContainsAny(field, ".:/"):
			networks, err := ParseNetworks(field)
			if err != nil {
				return fmt.Errorf("%w; write networks, or words of a User-Agent, such as 10.7.0.0/16,kaniko", err)
			}
			s.networks = append(s.networks, networks...)
		default:
			s.agents = append(s.agents, field)
		}
	}
	return nil
}

// include reports whether the client at an address with a User-Agent is in the set.
func (s Clients) include(address, agent string) bool {
	for _, word := range s.agents {
		if strings.Contains(agent, word) {
			return true
		}
	}
	return contain(s.networks, address)
}

// ParseNetworks reads a comma separated list of addresses and CIDR networks.
func ParseNetworks(s string) ([]netip.Prefix, error) {
	var networks []netip.Prefix
	for field := range strings.SplitSeq(s, ",") {
		field = strings.TrimSpace(field)
		if addr, err := netip.ParseAddr(field); err == nil {
			networks = append(networks, netip.PrefixFrom(addr, addr.BitLen()))
			continue
		}
		p, err := netip.ParsePrefix(field)
		if err != nil {
			return nil, fmt.Errorf("%q is not a network", field)
		}
		networks = append(networks, p.Masked())
	}
	return networks, nil
}

func contain(networks []netip.Prefix, address string) bool {
	if len(networks) == 0 {
		return false
	}
	addr, err := netip.ParseAddr(address)
	if err != nil {
		return false
	}
	addr = addr.Unmap().WithZone("")
	for _, p := range networks {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}
