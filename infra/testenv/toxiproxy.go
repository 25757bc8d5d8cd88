package testenv

import (
	"net"
	"testing"

	toxiproxy "github.com/Shopify/toxiproxy/v2/client"
)

// Toxiproxy is a proxy server that injects network faults between two programs.
type Toxiproxy struct {
	process *Process
	client  *toxiproxy.Client
}

// StartToxiproxy starts a server without links.
func StartToxiproxy(t testing.TB) *Toxiproxy {
	t.Helper()
	addr := FreeAddr(t, "127.0.0.1")
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	// The program is named "server". Without LOG_LEVEL it logs every connection.
	p := Start(t, "toxiproxy", []string{"LOG_LEVEL=error"}, Tool(t, "server"), "-host", host, "-port", port)
	p.WaitHTTP(t, "http://"+addr+"/version")
	return &Toxiproxy{process: p, client: toxiproxy.NewClient(addr)}
}

// A Link is a network path between two programs. A fault lasts until Restore.
type Link struct {
	Addr string // address to dial, host:port

	proxy *toxiproxy.Proxy
}

// Link creates a link to an address.
func (x *Toxiproxy) Link(t testing.TB, to string) *Link {
	t.Helper()
	addr := FreeAddr(t, "127.0.0.1")
	proxy, err := x.client.CreateProxy(addr, addr, to)
	if err != nil {
		t.Fatalf("create link to %s: %v", to, err)
	}
	return &Link{Addr: addr, proxy: proxy}
}

// Cut closes all connections and refuses new ones.
func (l *Link) Cut(t testing.TB) {
	t.Helper()
	if err := l.proxy.Disable(); err != nil {
		t.Fatalf("cut link: %v", err)
	}
}

// Block drops all bytes in both directions. Connections stay open, so neither side sees an error.
func (l *Link) Block(t testing.TB) {
	t.Helper()
	l.addToxic(t, "timeout", toxiproxy.Attributes{"timeout": 0})
}

// Slow limits each connection to bytesPerSecond in each direction.
func (l *Link) Slow(t testing.TB, bytesPerSecond int) {
	t.Helper()
	l.addToxic(t, "bandwidth", toxiproxy.Attributes{"rate": max(1, bytesPerSecond/1000)})
}

func (l *Link) addToxic(t testing.TB, kind string, attributes toxiproxy.Attributes) {
	t.Helper()
	for _, direction := range []string{"upstream", "downstream"} {
		if _, err := l.proxy.AddToxic(direction, kind, direction, 1, attributes); err != nil {
			t.Fatalf("add %s toxic %s to link: %v", direction, kind, err)
		}
	}
}

// Restore removes all faults. It closes connections that were blocked.
func (l *Link) Restore(t testing.TB) {
	t.Helper()
	toxics, err := l.proxy.Toxics()
	for _, toxic := range toxics {
		if err == nil {
			err = l.proxy.RemoveToxic(toxic.Name)
		}
	}
	if err == nil {
		err = l.proxy.Enable()
	}
	if err != nil {
		t.Fatalf("restore link: %v", err)
	}
}
