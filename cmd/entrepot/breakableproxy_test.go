package main_test

import (
	"io"
	"net"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/infra/testenv"
)

// breakableProxy forwards TCP connections to a server and can break them.
type breakableProxy struct {
	addr string

	mu    sync.Mutex
	pairs [][2]net.Conn
	lost  map[net.Conn]bool
}

func newBreakableProxy(t *testing.T, target string) *breakableProxy {
	t.Helper()
	c := &breakableProxy{addr: testenv.FreeAddr(t, "127.0.0.1"), lost: map[net.Conn]bool{}}
	listener, err := net.Listen("tcp", c.addr)
	require.NoError(t, err)
	t.Cleanup(func() { listener.Close(); c.cut(true) })
	go func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", target)
			if err != nil {
				near.Close()
				continue
			}
			c.mu.Lock()
			c.pairs = append(c.pairs, [2]net.Conn{near, far})
			c.mu.Unlock()
			go c.copy(far, near)
			go c.copy(near, far)
		}
	}()
	return c
}

func (c *breakableProxy) copy(to, from net.Conn) {
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		c.mu.Lock()
		lost := c.lost[from]
		c.mu.Unlock()
		switch {
		case lost && err == nil:
			continue // discard
		case lost:
			return
		case err != nil:
			to.Close()
			return
		}
		if _, err := to.Write(buf[:n]); err != nil {
			_, _ = io.Copy(io.Discard, from)
			return
		}
	}
}

// cut breaks all connections: it resets them, or silently discards everything sent over them.
func (c *breakableProxy) cut(reset bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, pair := range c.pairs {
		for _, conn := range pair {
			c.lost[conn] = true
		}
		pair[1].Close()
		if reset {
			_ = pair[0].(*net.TCPConn).SetLinger(0) // Close sends a reset
			pair[0].Close()
		}
	}
	if reset {
		c.pairs = nil
	}
}
