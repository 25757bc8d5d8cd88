package unsent

import (
	"context"
	"net"
	"net/http"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// stall is how long a client may receive nothing before Wait gives up on it: it may be gone without notice.
const stall = 10 * time.Second

// poll is the interval at which Wait checks the unsent bytes.
const poll = 50 * time.Millisecond

// Tracker tracks the connections of one server. After Drain it keeps a second descriptor of each connection until the client
// has received everything. The zero value is ready to use. A Tracker is safe for concurrent use.
type Tracker struct {
	mu       sync.Mutex
	draining bool
	open     map[net.Conn]int // open connections and their second descriptors, or -1
	closed   []int            // second descriptors of closed connections with unsent bytes
}

// ConnState is the server's http.Server.ConnState.
func (t *Tracker) ConnState(c net.Conn, state http.ConnState) {
	if state == http.StateActive || state == http.StateIdle {
		return // without the lock, since every request gets here
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	switch state {
	case http.StateNew:
		if t.open == nil {
			t.open = map[net.Conn]int{}
		}
		t.open[c] = -1
		if t.draining {
			t.open[c] = duplicate(c)
		}
	case http.StateClosed, http.StateHijacked:
		t.close(c)
	}
}

// close ends the sending side of a connection that the server has closed. The caller holds the lock.
func (t *Tracker) close(c net.Conn) {
	fd, ok := t.open[c]
	delete(t.open, c)
	switch {
	case !ok || fd < 0:
	case unacknowledged(fd) == 0:
		unix.Close(fd)
	default:
		_ = unix.Shutdown(fd, unix.SHUT_WR) // fails only if the client is gone
		t.closed = append(t.closed, fd)
	}
}

// Drain duplicates the descriptors of all connections. Call it before the server shuts down.
func (t *Tracker) Drain() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.draining = true
	for c := range t.open {
		t.open[c] = duplicate(c)
	}
}

// Wait waits until all clients have received all bytes. It gives up on a client that receives nothing for 10 s, and on all
// clients when ctx ends. It returns the number of bytes not received. Call it once, after the server has shut down.
func (t *Tracker) Wait(ctx context.Context) (lost int) {
	t.mu.Lock()
	for c := range t.open { // the server has not reported their end yet
		t.close(c)
	}
	fds := t.closed
	t.mu.Unlock()
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

// waitSent is Wait for one connection.
func waitSent(ctx context.Context, fd int) (remains int) {
	tick := time.NewTicker(poll)
	defer tick.Stop()
	last, since := unacknowledged(fd), time.Now()
	for last > 0 && time.Since(since) < stall {
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
