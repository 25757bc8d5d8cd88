package main_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/entrepot-io/entrepot/infra/testenv"
)

func TestSlowRequestBodiesAreAnsweredAndCutOff(t *testing.T) {
	t.Parallel()
	const clients = 500
	admin := testenv.FreeAddr(t, "127.0.0.1")
	p := start(t, "ENTREPOT_STORE=file:"+t.TempDir(), "ENTREPOT_ADMIN_LISTEN="+admin, "ENTREPOT_ACCESS_LOG=false")
	p.WaitHTTP(t, p.url("/readyz"))
	var all sync.WaitGroup
	for i := range clients {
		request := []struct {
			addr, line string
			status     int
		}{
			{p.addr, "POST /v2/a/blobs/uploads/", http.StatusMethodNotAllowed},
			{p.addr, "GET /v2/", http.StatusOK},
			{p.addr, "PUT /healthz", http.StatusMethodNotAllowed},
			{p.addr, "OPTIONS *", http.StatusNotFound},
			{admin, "GET /metrics", http.StatusOK},
			{admin, "POST /debug/pprof/symbol", http.StatusMethodNotAllowed},
			{admin, "OPTIONS *", http.StatusBadRequest},
		}[i%7]
		framing := []string{"Content-Length: 1000000\r\n\r\n", "Content-Length: 1000\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n3e8\r\n"}[i%3]
		all.Go(func() {
			status, err := dribble(request.addr, request.line+" HTTP/1.1\r\nHost: x\r\n"+framing)
			assert.NoError(t, err, request.line)
			assert.Equal(t, request.status, status, request.line)
		})
	}
	all.Wait()
}

// dribble sends the beginning of a request and then a byte of its body every two seconds. It returns the response's status
// once the server has closed the connection.
func dribble(addr, begin string) (status int, err error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return 0, err
	}
	if _, err := io.WriteString(conn, begin); err != nil {
		return 0, err
	}
	var sent sync.WaitGroup
	sent.Go(func() {
		for err := error(nil); err == nil; time.Sleep(2 * time.Second) {
			_, err = conn.Write([]byte("x"))
		}
	})
	defer sent.Wait()
	defer conn.Close()
	if err := conn.SetReadDeadline(time.Now().Add(2 * time.Minute)); err != nil {
		return 0, err
	}
	reader := bufio.NewReader(conn)
	resp, err := http.ReadResponse(reader, nil)
	if err != nil {
		return 0, fmt.Errorf("read response: %w", err)
	}
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return 0, fmt.Errorf("read response body: %w", err)
	}
	if _, err := reader.ReadByte(); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		return 0, fmt.Errorf("connection not closed: %w", err)
	}
	return resp.StatusCode, nil
}
