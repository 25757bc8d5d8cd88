package upstream_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/entrepot-io/entrepot/upstream"
)

func TestOnlyGloballyRoutableAddressesArePublic(t *testing.T) {
	for kind, addrs := range map[string]string{
		"public": `1.1.1.1 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 172.15.255.255 172.32.0.0 191.255.255.255
			192.0.1.0 198.17.255.255 198.20.0.0 223.255.255.255 2606:4700::1111 2a00::1 2001:200::1 2001:20::1
			::ffff:1.1.1.1 64:ff9b::1.1.1.1 2002:101:101::1 ::1.1.1.1`,
		"private": `10.9.9.9 100.64.0.1 100.127.255.255 172.16.0.1 172.31.255.255 192.0.0.1 192.0.0.9 192.0.2.1 192.88.99.1
			192.168.1.1 198.18.0.1 198.19.255.255 198.51.100.1 203.0.113.1 224.0.0.1 239.255.255.255 240.0.0.1
			255.255.255.255 fc00::1 fdff::1 2001::1 2001:2::1 2001:db8::1 3fff::1 64:ff9b:1::1 100::1 5f00::1 fec0::1
			ff02::1 4000::1 ::ffff:10.9.9.9 64:ff9b::10.9.9.9 2002:a09:909::1 ::10.9.9.9`,
		"loopback": `127.0.0.1 127.255.255.255 0.0.0.0 0.1.2.3 :: ::1 ::ffff:127.0.0.1 ::ffff:0.0.0.0 64:ff9b::127.0.0.1
			2002:7f00:1::1 ::127.0.0.1`,
		"link-local": `169.254.169.254 169.254.0.1 fe80::1 fe80::1%eth0 febf::1 ::ffff:169.254.169.254
			64:ff9b::169.254.169.254 2002:a9fe:a9fe::1 100.100.100.200 168.63.129.16 192.0.0.192 fd00:ec2::254 fd00:ec2::23`,
	} {
		for addr := range strings.FieldsSeq(addrs) {
			assert.Equal(t, kind, upstream.AddressKind(netip.MustParseAddr(addr)), addr)
		}
	}
}

func TestDisguisedAddressesAreRecognized(t *testing.T) {
	for host, kind := range map[string]string{
		"localhost": "loopback", "LOCALHOST.": "loopback", "a.localhost": "loopback", "127.0.0.1.": "loopback",
		"169.254.169.254": "link-local", "::1": "loopback", "127.1": "private", "2130706433": "private", "0x7f000001": "private",
		"0x7f.0.0.0x1": "private", "registry.example.com": "", "1.example.com": "", "": "",
	} {
		assert.Equal(t, kind, upstream.HostKind(host), "%q", host)
	}
}

func TestServersReachLimitsRedirects(t *testing.T) {
	addrs := []string{"1.1.1.1", "10.0.0.1", "127.0.0.1", "169.254.169.254"}
	for from, may := range map[string][]bool{
		"1.1.1.1":       {true, false, false, false},
		"10.0.0.5":      {true, true, false, false},
		"127.0.0.5":     {true, true, true, false},
		"169.254.20.10": {true, false, false, true},
	} {
		for i, to := range addrs {
			assert.Equal(t, may[i], upstream.MayName(netip.MustParseAddr(from), netip.MustParseAddr(to)), "%s -> %s", from, to)
		}
	}
}
