package upstream

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/netip"
	"net/url"
	"sync"
	"syscall"
	"time"

	"github.com/maypok86/otter/v2"
)

// forbiddenError rejects an address that an upstream must not send requests to.
type forbiddenError struct {
	reach reach
	addr  string
}

func (e *forbiddenError) Error() string {
	return fmt.Sprintf("not following the upstream to the %s address %s", e.reach, e.addr)
}

// dialGuard restricts each request to the addresses that its route allows. It checks the address that is dialled, whatever
// the name resolved to earlier. Requests with different permissions never share connections.
type dialGuard struct {
	proxy    func(*http.Request) (*url.URL, error)
	classify func(netip.Addr) reach
	make     func(*net.Dialer) *http.Transport
	connect  time.Duration

	proxied *http.Transport // dials proxies, which the operator configures

	mu     sync.Mutex
	direct map[reach]*http.Transport // by the addresses that they may dial

	// names caches the kinds of addresses of hosts behind a proxy, as far as this machine can resolve them.
	names *otter.Cache[string, reach]
}

const (
	maxNames    = 1000
	nameLife    = time.Minute
	nameTimeout = 2 * time.Second
)

func newDialGuard(connect time.Duration, make func(*net.Dialer) *http.Transport) *dialGuard {
	g := &dialGuard{
		proxy:    http.ProxyFromEnvironment,
		classify: reachOf,
		make:     make,
		connect:  connect,
		direct:   map[reach]*http.Transport{},
		names: otter.Must(&otter.Options[string, reach]{
			MaximumSize: maxNames, ExpiryCalculator: otter.ExpiryWriting[string, reach](nameLife),
		}),
	}
	g.proxied = make(g.dialer(anywhere))
	g.proxied.Proxy = func(req *http.Request) (*url.URL, error) { return g.proxy(req) }
	return g
}

func (g *dialGuard) RoundTrip(req *http.Request) (*http.Response, error) {
	r := routeOf(req)
	proxy, err := g.proxy(req)
	if err != nil {
		return nil, err
	}
	if proxy != nil {
		if err := g.checkName(req.Context(), req.URL.Hostname(), r.allow); err != nil {
			return nil, err
		}
		return g.proxied.RoundTrip(req)
	}
	return g.transport(r.allow).RoundTrip(req.WithContext(httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{
		GotConn: func(c httptrace.GotConnInfo) {
			if remote, err := netip.ParseAddrPort(c.Conn.RemoteAddr().String()); err == nil {
				r.came = g.classify(remote.Addr())
			}
		},
	})))
}

// transport returns the transport for requests with a permission.
func (g *dialGuard) transport(allow reach) *http.Transport {
	g.mu.Lock()
	defer g.mu.Unlock()
	t := g.direct[allow]
	if t == nil {
		t = g.make(g.dialer(allow))
		g.direct[allow] = t
	}
	return t
}

func (g *dialGuard) dialer(allow reach) *net.Dialer {
	return &net.Dialer{
		Timeout:   g.connect,
		KeepAlive: 15 * time.Second,
		// Control is called for each address that is tried.
		Control: func(_, address string, _ syscall.RawConn) error {
			if allow == anywhere {
				return nil
			}
			dialled, err := netip.ParseAddrPort(address)
			if err != nil {
				return fmt.Errorf("dial %q: %w", address, err)
			}
			if kind := g.classify(dialled.Addr()); kind&allow == 0 {
				return &forbiddenError{kind, address}
			}
			return nil
		},
	}
}

// checkName checks a host that a proxy will resolve. It rejects a host with a forbidden address as seen from here. Names
// that only the proxy can resolve are left to the proxy.
func (g *dialGuard) checkName(ctx context.Context, host string, allow reach) error {
	if allow == anywhere {
		return nil
	}
	kind, known := reachOfHost(host)
	if !known {
		if kind, known = g.names.GetIfPresent(host); !known {
			kind = g.lookUp(ctx, host)
			g.names.Set(host, kind)
		}
	}
	if kind&^allow != 0 {
		return &forbiddenError{kind &^ allow, host}
	}
	return nil
}

// lookUp returns the kinds of all addresses of a host, 0 if it does not resolve here.
func (g *dialGuard) lookUp(ctx context.Context, host string) reach {
	ctx, cancel := context.WithTimeout(ctx, nameTimeout)
	defer cancel()
	addrs, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return 0
	}
	var kinds reach
	for _, addr := range addrs {
		kinds |= g.classify(addr)
	}
	return kinds
}
