package main

import (
	"context"
	"net"
	"net/http"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// unsentStall is how long a client may receive nothing before wait gives up on it: it may be gone without notice.
const unsentStall = 10 * time.Second

// unsentPoll is the interval at which wait checks the unsent bytes.
const unsentPoll = 50 * time.Millisecond

// unsent tracks the bytes of finished responses that the kernel has not sent yet: up to some megabytes for a client that
// reads slowly. The kernel sends them after the process has exited, unless the container's network is removed with it. So a
// draining server keeps a second descriptor of each connection until its client has received everything.
type unsent struct {
	mu       sync.Mutex
	draining bool
	open     map[net.Conn]int // open connections and their second descriptors, or -1
	closed   []int            // second descriptors of closed connections with unsent bytes
}

// connState is the ConnState callback of the server.
func (u *unsent) connState(c net.Conn, state http.ConnState) {
	if state == http.StateActive || state == http.StateIdle {
		return // without the lock, since every request gets here
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	switch state {
	case http.StateNew:
		if u.open == nil {
			u.open = map[net.Conn]int{}
		}
		u.open[c] = -1
		if u.draining {
			u.open[c] = duplicate(c)
		}
	case http.StateClosed, http.StateHijacked:
		u.close(c)
	}
}

// close ends the sending side of a connection that the server has closed. The caller holds the lock.
func (u *unsent) close(c net.Conn) {
	fd, ok := u.open[c]
	delete(u.open, c)
	switch {
	case !ok || fd < 0:
	case unacknowledged(fd) == 0:
		unix.Close(fd)
	default:
		_ = unix.Shutdown(fd, unix.SHUT_WR) // fails only if the client is gone
		u.closed = append(u.closed, fd)
	}
}

// drain duplicates the descriptors of all connections. Call it before the server shuts down.
func (u *unsent) drain() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.draining = true
	for c := range u.open {
		u.open[c] = duplicate(c)
	}
}

// wait waits until clients have received all bytes, ctx ends, or clients stall for unsentStall. It returns the number of
// bytes not received. Call it after the server has shut down.
func (u *unsent) wait(ctx context.Context) (lost int) {
	u.mu.Lock()
	for c := range u.open { // the server has not reported their end yet
		u.close(c)
	}
	fds := u.closed
	u.mu.Unlock()
	var all sync.WaitGroup
	remains := make([]int, len(fds))
	for i, fd := range fds {
		all.Go(func() {
			defer unix.Close(fd)
			remains[i] = waitSent(ctx, fd)
		})
	}
	all.Wait()
	for _, n := range remains {
		lost += n
	}
	return lost
}

// waitSent is wait for one connection.
func waitSent(ctx context.Context, fd int) (remains int) {
	tick := time.NewTicker(unsentPoll)
	defer tick.Stop()
	last, since := unacknowledged(fd), time.Now()
	for last > 0 && time.Since(since) < unsentStall {
		select {
		case <-ctx.Done():
			return last
		case <-tick.C:
		}
		if now := unacknowledged(fd); now != last {
			last, since = now, time.Now()
		}
	}
	return last
}

// duplicate returns a second descriptor of a connection, or -1 if that is impossible.
func duplicate(c net.Conn) int {
	conn, ok := c.(syscall.Conn)
	if !ok {
		return -1
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return -1
	}
	duplicated := -1
	if err := raw.Control(func(fd uintptr) {
		if n, err := unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0); err == nil {
			duplicated = n
		}
	}); err != nil {
		return -1 // closed
	}
	return duplicated
}

// unacknowledged returns the number of sent bytes that the peer has not acknowledged. It is 0 for a broken connection.
func unacknowledged(fd int) int {
	const closed = 7 // TCP_CLOSE
	info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
	if err != nil || info.State == closed {
		return 0
	}
	n, err := unix.IoctlGetInt(fd, unix.SIOCOUTQ)
	if err != nil {
		return 0
	}
	return n
}
