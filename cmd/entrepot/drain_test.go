package main_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/entrepot-io/entrepot/infra/testenv"
)

// slowBlob is a size in bytes larger than the buffers between the program and a client that does not read.
const slowBlob = 48 << 20

func TestSIGTERMFinishesDownloadsAndRefusesNewOnes(t *testing.T) {
	t.Parallel()
	for name, cached := range map[string]bool{"stored blob": true, "blob being filled": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			upstream := testenv.StartRegistry(t, "127.0.0.2")
			path, digest := pushBlob(t, upstream, "app", slowBlob)
			p := start(t, "ENTREPOT_STORE=file:"+t.TempDir(), "ENTREPOT_UPSTREAMS=corp="+upstream.URL())
			p.WaitHTTP(t, p.url("/readyz"))
			if cached {
				p.getBlob(t, path, digest)
			}
			resp, head := beginDownload(t, p, path)
			p.Signal(t, syscall.SIGTERM)
			p.WaitUntil(t, "refuses connections", func() error { return refuses(p.addr) })
			tail, err := io.ReadAll(resp.Body)
			if err != nil {
				t.Fatalf("the rest of the download: %v", err)
			}
			if got := digestOf(append(head, tail...)); got != digest {
				t.Errorf("%d bytes of %s, want %d of %s", len(head)+len(tail), got, slowBlob, digest)
			}
			if code := p.Wait(t, 30*time.Second); code != 0 {
				t.Errorf("exit code %d, want 0", code)
			}
		})
	}
}

// The unsent bytes in the kernel's buffers are lost when a container ends with its process.
func TestSIGTERMWaitsForSlowClientsToReceiveAll(t *testing.T) {
	t.Parallel()
	const size = 1 << 20 // fits into the kernel's buffers
	upstream := testenv.StartRegistry(t, "127.0.0.2")
	path, digest := pushBlob(t, upstream, "app", size)
	store := t.TempDir()
	for name, stays := range map[string]bool{"client reads late": true, "client is gone": false} {
		t.Run(name, func(t *testing.T) {
			p := start(t, "ENTREPOT_STORE=file:"+store, "ENTREPOT_UPSTREAMS=corp="+upstream.URL())
			p.WaitHTTP(t, p.url("/readyz"))
			p.getBlob(t, path, digest)
			conn := p.slowly(t, path)
			p.WaitUntil(t, "has written both answers", func() error {
				if n := strings.Count(p.Output(t), fmt.Sprintf(`"bytes":%d`, size)); n != 2 {
					return fmt.Errorf("%d lines of the access log", n)
				}
				return nil
			})
			p.Signal(t, syscall.SIGTERM)
			p.WaitUntil(t, "refuses connections", func() error { return refuses(p.addr) })
			if stays {
				time.Sleep(time.Second) // enough for the program to exit if it did not wait
				p.Signal(t, syscall.Signal(0))
				resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
				if err != nil {
					t.Fatal(err)
				}
				if got, err := io.ReadAll(resp.Body); err != nil || digestOf(got) != digest {
					t.Errorf("%d bytes of the blob, %v", len(got), err)
				}
			}
			conn.Close()
			if code := p.Wait(t, 5*time.Second); code != 0 {
				t.Errorf("exit code %d, want 0", code)
			}
		})
	}
}

// slowly requests a path over a connection with a small receive buffer, and reads nothing.
func (p program) slowly(t *testing.T, path string) net.Conn {
	t.Helper()
	dialer := net.Dialer{Control: func(_, _ string, raw syscall.RawConn) error {
		return raw.Control(func(fd uintptr) {
			if err := syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 16<<10); err != nil {
				t.Error(err)
			}
		})
	}}
	conn, err := dialer.DialContext(t.Context(), "tcp", p.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", path, p.addr); err != nil {
		t.Fatal(err)
	}
	return conn
}

func TestStuckClientDoesNotDelayExitPastDrainTimeout(t *testing.T) {
	t.Parallel()
	upstream := testenv.StartRegistry(t, "127.0.0.2")
	path, _ := pushBlob(t, upstream, "app", slowBlob)
	p := start(t, "ENTREPOT_STORE=file:"+t.TempDir(), "ENTREPOT_UPSTREAMS=corp="+upstream.URL(), "ENTREPOT_DRAIN_TIMEOUT=1s")
	p.WaitHTTP(t, p.url("/readyz"))
	resp, head := beginDownload(t, p, path)
	p.Signal(t, syscall.SIGTERM)
	p.Wait(t, 30*time.Second)
	if tail, err := io.ReadAll(resp.Body); err == nil {
		t.Errorf("a download cut off after %d bytes of %d ended without an error", len(head)+len(tail), slowBlob)
	}
}

// beginDownload requests a blob and reads only its beginning.
func beginDownload(t *testing.T, p program, path string) (*http.Response, []byte) {
	t.Helper()
	resp, err := http.Get(p.url(path))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("GET %s: %s", path, resp.Status)
	}
	head := make([]byte, 1<<16)
	if _, err := io.ReadFull(resp.Body, head); err != nil {
		t.Fatal(err)
	}
	return resp, head
}

// refuses returns nil when nothing listens at addr.
func refuses(addr string) error {
	conn, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return nil
	}
	conn.Close()
	return errors.New("still listens")
}
