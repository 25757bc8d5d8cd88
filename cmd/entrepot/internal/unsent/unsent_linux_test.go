package unsent_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/cmd/entrepot/internal/unsent"
)

const size = 1 << 20 // fits into the kernel's buffers

// unread returns a server that has shut down, and a connection to it whose response the kernel has not sent completely.
func unread(t *testing.T) (*unsent.Tracker, net.Conn) {
	t.Helper()
	tracker := new(unsent.Tracker)
	server := &http.Server{ConnState: tracker.ConnState, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, err := w.Write(make([]byte, size))
		assert.NoError(t, err)
	})}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	go func() { _ = server.Serve(listener) }()
	conn, err := net.Dial("tcp", listener.Addr().String())
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	_, err = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	require.NoError(t, err)
	_, err = conn.Read(make([]byte, 1))
	require.NoError(t, err)
	tracker.Drain()
	require.NoError(t, server.Shutdown(t.Context()))
	return tracker, conn
}

func TestWaitLastsUntilClientHasAll(t *testing.T) {
	t.Parallel()
	tracker, conn := unread(t)
	const pause = 200 * time.Millisecond
	began := time.Now()
	received := make(chan int64)
	go func() {
		time.Sleep(pause)
		n, err := io.Copy(io.Discard, conn)
		assert.NoError(t, err)
		received <- n
	}()
	assert.Zero(t, tracker.Wait(t.Context()))
	assert.GreaterOrEqual(t, time.Since(began), pause)
	assert.Greater(t, <-received, int64(size))
}

func TestWaitReturnsLostBytes(t *testing.T) {
	t.Parallel()
	tracker, _ := unread(t)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	assert.Positive(t, tracker.Wait(ctx))
}

func TestWaitIgnoresClientsThatLeft(t *testing.T) {
	t.Parallel()
	tracker, conn := unread(t)
	require.NoError(t, conn.Close())
	assert.Zero(t, tracker.Wait(t.Context()))
}
