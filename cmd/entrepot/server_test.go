package main

import (
	"bufio"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
)

// longest is how long a client may keep a connection after its last request: IdleTimeout, then ReadTimeout if it begins
// another request.
const longest = 2*time.Minute + 10*time.Second + time.Second

// Each client sends begin, then dribble every two seconds until the server closes the connection.
func TestIncompleteRequestsDoNotHoldConnections(t *testing.T) {
	const ok, get = "HTTP/1.1 200 OK", "GET / HTTP/1.1\r\nHost: x\r\n"
	for name, test := range map[string]struct {
		begin, dribble string
		answer         string        // status line of the first response
		within         time.Duration // time until the server closes the connection
	}{
		"nothing":                         {"", "", "", 10 * time.Second},
		"endless header":                  {"GET / HTTP/1.1\r\nHost: x\r\nA: ", "a", "", 10 * time.Second},
		"many headers":                    {"GET / HTTP/1.1\r\n", "A: a\r\n", "", 10 * time.Second},
		"nothing after a request":         {get + "\r\n", "", ok, 2 * time.Minute},
		"slow header after a request":     {get + "\r\nGET", "x", ok, longest},
		"empty lines after a request":     {"POST / HTTP/1.1\r\nHost: x\r\n\r\n", "\r\n", ok, longest},
		"slow body":                       {get + "Content-Length: 100\r\n\r\n", "x", ok, 10 * time.Second},
		"slow chunks":                     {get + "Transfer-Encoding: chunked\r\n\r\n", "1\r\nx\r\n", ok, 10 * time.Second},
		"slow body, Expect: 100-continue": {get + "Expect: 100-continue\r\nContent-Length: 100\r\n\r\n", "x", ok, 10 * time.Second},
		"slow body, unknown Expect":       {get + "Expect: 1\r\nContent-Length: 100\r\n\r\n", "x", "HTTP/1.1 417 Expectation Failed", 10 * time.Second},
		"slow body of OPTIONS":            {"OPTIONS * HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n", "x", ok, 10 * time.Second},
		"slow body, unknown encoding":     {get + "Transfer-Encoding: gzip\r\n\r\n", "x", "HTTP/1.1 501 Not Implemented", 10 * time.Second},
		"slow body of HTTP/1.0":           {"POST / HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 100\r\n\r\n", "x", "HTTP/1.0 200 OK", 10 * time.Second},
		"slow upgrade to HTTP/2":          {get + "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\nPRI", "*", ok, longest},
		"HTTP/2":                          {"PRI * HTTP/2.0\r\n\r\n", "SM\r\n\r\n", ok, 10 * time.Second},
		"slow body after two requests":    {get + "\r\n" + get + "\r\nPUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n", "x", ok, 10 * time.Second},
		"slow request after a body":       {get + "Content-Length: 1\r\n\r\nx" + get, "x", ok, 10 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				listener := newPipes()
				server := newServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					_, _ = io.WriteString(w, "ok")
				}), slog.New(slog.DiscardHandler))
				go func() { _ = server.Serve(listener) }()
				t.Cleanup(func() { server.Close() })
				var all sync.WaitGroup
				for range 20 {
					conn := listener.connect()
					all.Go(func() { dribble(conn, test.begin, test.dribble) })
					all.Go(func() {
						began := time.Now()
						reader := bufio.NewReader(conn)
						answer, _ := reader.ReadString('\n')
						assert.Equal(t, test.answer, strings.TrimSuffix(answer, "\r\n"))
						_, err := io.Copy(io.Discard, reader)
						assert.NoError(t, err)
						assert.LessOrEqual(t, time.Since(began), test.within)
						conn.Close()
					})
				}
				all.Wait()
			})
		})
	}
}

func dribble(w io.Writer, begin, drop string) {
	_, err := io.WriteString(w, begin)
	for err == nil && drop != "" {
		time.Sleep(2 * time.Second)
		_, err = io.WriteString(w, drop)
	}
}

// pipes is a listener whose connections are in-memory pipes.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), closed: make(chan struct{})} }

func (p *pipes) connect() net.Conn {
	client, server := net.Pipe()
	p.conns <- server
	return client
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case conn := <-p.conns:
		return conn, nil
	case <-p.closed:
		return nil, fmt.Errorf("accept: %w", net.ErrClosed)
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipes", Net: "unix"} }
