package handlers_test

import (
	"context"
	"io"
	"net"
	"os"
	"sync"
)

// besides is how many bytes of a body may leave together with the headers.
const besides = 4096

// wires observes the sockets on both sides of entrepot.
type wires struct {
	mu        sync.Mutex
	fromFiles int64 // bytes that the kernel sent to clients directly from a file
	asRead    int64 // bytes written to clients from the buffer of the last read from the store

	read []byte // the last read from the store that was longer than headers
}

func (w *wires) reset() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fromFiles, w.asRead = 0, 0
}

func (w *wires) seen() (fromFiles, asRead int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.fromFiles, w.asRead
}

// client is a connection of a client. net/http uses sendfile(2) only for an io.ReaderFrom on a *net.TCPConn.
type client struct {
	*net.TCPConn
	wires *wires
}

func (c client) ReadFrom(r io.Reader) (int64, error) {
	n, err := c.TCPConn.ReadFrom(r)
	// Besides a bare file, net sends only this form by sendfile(2).
	if limited, ok := r.(*io.LimitedReader); ok {
		if _, ok := limited.R.(*os.File); ok {
			c.wires.mu.Lock()
			defer c.wires.mu.Unlock()
			c.wires.fromFiles += n
		}
	}
	return n, err
}

func (c client) Write(p []byte) (int, error) {
	n, err := c.TCPConn.Write(p)
	c.wires.mu.Lock()
	defer c.wires.mu.Unlock()
	if n <= len(c.wires.read) && sameMemory(p, c.wires.read) {
		c.wires.asRead += int64(n)
	}
	return n, err
}

// sameMemory reports whether two slices share an array. They then share the last byte of their capacity.
func sameMemory(a, b []byte) bool {
	return cap(a) > 0 && cap(b) > 0 && &a[:cap(a)][cap(a)-1] == &b[:cap(b)][cap(b)-1]
}

type clients struct {
	net.Listener
	wires *wires
}

func (l clients) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return client{conn.(*net.TCPConn), l.wires}, nil
}

// bucket is a connection to the store.
type bucket struct {
	net.Conn
	wires *wires
}

func (b bucket) Read(p []byte) (int, error) {
	n, err := b.Conn.Read(p)
	b.wires.mu.Lock()
	defer b.wires.mu.Unlock()
	if n > besides { // other responses of the store are shorter
		b.wires.read = p[:n]
	}
	return n, err
}

func (w *wires) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, network, addr)
	return bucket{conn, w}, err
}
