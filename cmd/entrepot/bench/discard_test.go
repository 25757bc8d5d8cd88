//go:build bench

package bench_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
)

// discard downloads a URL once over each of several concurrent connections. It returns the duration and the total size of
// the bodies. The kernel discards the bodies without copying them (MSG_TRUNC), so that the client needs little CPU time.
func discard(ctx context.Context, target string, connections int) (took time.Duration, bytes int64, err error) {
	u, err := url.Parse(target)
	if err != nil {
		return 0, 0, err
	}
	conns := make([]*net.TCPConn, connections)
	for i := range conns {
		conn, err := net.Dial("tcp", u.Host)
		if err != nil {
			return 0, 0, err
		}
		defer conn.Close()
		conns[i] = conn.(*net.TCPConn)
	}
	defer context.AfterFunc(ctx, func() {
		for _, conn := range conns {
			conn.Close()
		}
	})()
	var mu sync.Mutex
	var all errgroup.Group
	began := time.Now()
	for _, conn := range conns {
		all.Go(func() error {
			n, err := discardOne(conn, u)
			mu.Lock()
			defer mu.Unlock()
			bytes += n
			return err
		})
	}
	err = all.Wait()
	return time.Since(began), bytes, err
}

func discardOne(conn *net.TCPConn, u *url.URL) (int64, error) {
	req := &http.Request{Method: http.MethodGet, URL: u, Host: u.Host}
	if err := req.Write(conn); err != nil {
		return 0, err
	}
	r := bufio.NewReader(conn)
	resp, err := http.ReadResponse(r, req)
	if err != nil {
		return 0, err
	}
	if resp.StatusCode != http.StatusOK || resp.ContentLength < 0 {
		return 0, fmt.Errorf("GET %s: %s with %d bytes", u.Path, resp.Status, resp.ContentLength)
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0, err
	}
	left := resp.ContentLength - int64(r.Buffered())
	buf := make([]byte, 1<<20) // the kernel uses only its length
	for left > 0 {
		var n int
		readErr := raw.Read(func(fd uintptr) bool {
			n, _, err = syscall.Recvfrom(int(fd), buf[:min(left, int64(len(buf)))], syscall.MSG_TRUNC)
			return err != syscall.EAGAIN && err != syscall.EINTR
		})
		switch {
		case readErr != nil:
			return 0, readErr
		case err != nil:
			return 0, err
		case n == 0:
			return 0, io.ErrUnexpectedEOF
		}
		left -= int64(n)
	}
	return resp.ContentLength, nil
}
