package handlers_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/handlers"
	"github.com/entrepot-io/entrepot/upstream/upstreamtest"
)

// hang is when a test stops waiting, and fails.
const hang = 30 * time.Second

// framings are starts of bodies that never end.
var framings = map[string]string{
	"short":                       "Content-Length: 1000\r\n\r\nx",
	"without bytes":               "Content-Length: 1\r\n\r\n",
	"long":                        "Content-Length: 10000000000000\r\n\r\nx",
	"chunked":                     "Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n",
	"chunked, in a length":        "Transfer-Encoding: chunked\r\n\r\n1",
	"chunked, in a trailer":       "Transfer-Encoding: chunked\r\nTrailer: A\r\n\r\n0\r\nA: ",
	"after 100-continue":          "Expect: 100-continue\r\nContent-Length: 1000\r\n\r\n",
	"chunked, after 100-continue": "Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n",
	"on a closing connection":     "Connection: close\r\nContent-Length: 1000\r\n\r\nx",
}

func TestRequestBodyIgnoredAndConnectionClosed(t *testing.T) {
	t.Parallel()
	reg := upstreamtest.Start(t, upstreamtest.Options{})
	image := reg.Index("library/app", "1", 1000).Images[0]
	f := serve(t, reg, newFileStore(t), "never")
	blob := "/v2/library/app/blobs/" + image.Layers[0].Digest.String()
	require.Equal(t, http.StatusOK, f.do(t, "GET", blob).StatusCode)
	admin := httptest.NewServer(handlers.NewAdmin(f.core, prometheus.NewRegistry(), handlers.Status{}))
	t.Cleanup(admin.Close)

	var all sync.WaitGroup
	for _, request := range []struct {
		base, method, path string
		status             int
	}{
		{f.URL, "GET", "/v2/", http.StatusOK},
		{f.URL, "GET", blob, http.StatusOK},
		{f.URL, "HEAD", blob, http.StatusOK},
		{f.URL, "GET", "/v2/library/app/manifests/1", http.StatusOK},
		{f.URL, "GET", "/v2/library/app/manifests/2", http.StatusNotFound},
		{f.URL, "GET", "/v2/library/app/tags/list", http.StatusOK},
		{f.URL, "POST", "/v2/library/app/blobs/uploads/", http.StatusMethodNotAllowed},
		{f.URL, "PATCH", "/v2/library/app/blobs/uploads/1", http.StatusMethodNotAllowed},
		{f.URL, "PUT", "/v2/library/app/manifests/1", http.StatusMethodNotAllowed},
		{f.URL, "DELETE", "/v2/library/app/manifests/1", http.StatusMethodNotAllowed},
		{f.URL, "GET", "/healthz", http.StatusOK},
		{f.URL, "POST", "/healthz", http.StatusMethodNotAllowed},
		{f.URL, "POST", "/", http.StatusNotFound},
		{admin.URL, "GET", "/metrics", http.StatusOK},
		{admin.URL, "GET", "/status", http.StatusOK},
		{admin.URL, "POST", "/readyz", http.StatusMethodNotAllowed},
		{admin.URL, "POST", "/debug/pprof/symbol", http.StatusMethodNotAllowed},
		{admin.URL, "GET", "/debug/pprof/cmdline", http.StatusOK},
	} {
		for name, framing := range framings {
			all.Go(func() {
				what := request.method + " " + request.path + ", body " + name
				status, err := answeredAndClosed(t, request.base, request.method, request.path, framing)
				assert.NoError(t, err, what)
				assert.Equal(t, request.status, status, what)
			})
		}
	}
	all.Wait()
}

// answeredAndClosed sends the start of a request. It returns the status of the response after the server has closed the
// connection.
func answeredAndClosed(t *testing.T, base, method, path, rest string) (status int, err error) {
	host := strings.TrimPrefix(base, "http://")
	conn, err := net.Dial("tcp", host)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(hang)); err != nil {
		return 0, err
	}
	if _, err := fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: %s\r\n%s", method, path, host, rest); err != nil {
		return 0, err
	}
	reader := bufio.NewReader(conn)
	resp, err := http.ReadResponse(reader, &http.Request{Method: method})
	if err != nil {
		return 0, fmt.Errorf("read response: %w", err)
	}
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return 0, fmt.Errorf("read body: %w", err)
	}
	if !resp.Close {
		return 0, fmt.Errorf("response without Connection: close: %v", resp.Header)
	}
	if _, err := reader.ReadByte(); err == nil || isTimeout(err) {
		return 0, fmt.Errorf("connection not closed: %w", err)
	}
	return resp.StatusCode, nil
}

func isTimeout(err error) bool {
	timeout, ok := err.(net.Error)
	return ok && timeout.Timeout()
}

// If the server closes a connection with unread bytes, the kernel drops what it has not sent of the response yet.
func TestSlowResponseReachesClientThatSentBody(t *testing.T) {
	const size, sent = 1 << 20, 100_000
	reg := upstreamtest.Start(t, upstreamtest.Options{})
	path := "/v2/library/app/blobs/" + reg.Image("library/app", "1", size).Layers[0].Digest.String()
	f := serve(t, reg, newFileStore(t), "never")
	require.Equal(t, http.StatusOK, f.do(t, "GET", path).StatusCode)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// As if the server's ReadTimeout had expired during the response.
		assert.NoError(t, http.NewResponseController(w).SetReadDeadline(time.Now().Add(-time.Hour)))
		f.Config.Handler.ServeHTTP(w, r)
	}))
	closed := make(chan struct{})
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateClosed {
			close(closed)
		}
	}
	server.Start()
	t.Cleanup(server.Close)

	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, conn.SetDeadline(time.Now().Add(hang)))
	_, err = fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", path, sent, strings.Repeat("x", sent))
	require.NoError(t, err)
	select {
	case <-closed:
	case <-time.After(hang):
		t.Fatal("the connection is not closed")
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err)
	n, err := io.Copy(io.Discard, resp.Body)
	assert.NoError(t, err)
	assert.Equal(t, int64(size), n)
}
