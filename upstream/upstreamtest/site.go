package upstreamtest

import (
	"cmp"
	"context"
	"net"
	"net/http"
	"sync"
)

// site is one listening address and its handler.
type site struct {
	addr    string // with the port after the first open
	handler http.HandlerFunc
	server  *http.Server
	running sync.WaitGroup // the accepting goroutine and the connections
}

// withPort completes an address that may be empty or lack a port.
func withPort(addr, fallback string) string {
	addr = cmp.Or(addr, fallback)
	if _, _, err := net.SplitHostPort(addr); err != nil {
		return net.JoinHostPort(addr, "0")
	}
	return addr
}

// open listens and serves until close. Handlers get contexts that end with ctx.
func (s *site) open(ctx context.Context, l *ledger) error {
	listener, err := net.Listen("tcp", s.addr)
	if err != nil {
		return err
	}
	if addr := listener.Addr().String(); addr != s.addr { // no write on a restart, when others read it
		s.addr = addr
	}
	s.server = &http.Server{
		Handler:     s.handler,
		BaseContext: func(net.Listener) context.Context { return ctx },
		// Serve reports StateNew before it returns, so no connection is added after Wait.
		ConnState: func(_ net.Conn, state http.ConnState) {
			switch state {
			case http.StateNew:
				s.running.Add(1)
				l.connected(1)
			case http.StateClosed:
				l.connected(-1)
				s.running.Done()
			}
		},
	}
	s.running.Go(func() { _ = s.server.Serve(listener) }) // always ErrServerClosed, from close
	return nil
}

// close cuts all connections and waits for their handlers.
func (s *site) close() {
	_ = s.server.Close() // the listener is closed even if this fails
	s.running.Wait()
}
