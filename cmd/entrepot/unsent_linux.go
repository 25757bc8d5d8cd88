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

// unsentPause is how long a client may take nothing of what is waited for: it may be gone without a word.
const unsentPause = 10 * time.Second

// unsent is what the kernel has yet to send of answers that have ended: up to some megabytes for a client that reads
// slowly. A kernel sends it when the process has gone, but not when the network of the container has gone with it. So a
// draining server's connections are held on to, each by a descriptor more, until their clients have all of it.
type unsent struct {
	mu       sync.Mutex
	draining bool
	open     map[net.Conn]int // by descriptors of their own, or -1
	closed   []int            // those of connections that the server has closed, and that have something left
}

// follow is the ConnState of a server.
func (u *unsent) follow(c net.Conn, state http.ConnState) {
	if state == http.StateActive || state == http.StateIdle {
		return // without the lock, since each request comes here
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
			u.open[c] = hold(c)
		}
	case http.StateClosed, http.StateHijacked:
		u.close(c)
	}
}

// close lets the client know that no more comes.
func (u *unsent) close(c net.Conn) {
	fd, ok := u.open[c]
	delete(u.open, c)
	switch {
	case !ok || fd < 0:
	case left(fd) == 0:
		unix.Close(fd)
	default:
		_ = unix.Shutdown(fd, unix.SHUT_WR) // or the client is gone
		u.closed = append(u.closed, fd)
	}
}

// drain is called before the server shuts down.
func (u *unsent) drain() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.draining = true
	for c := range u.open {
		u.open[c] = hold(c)
	}
}

// wait is called when the server has shut down. It returns how many bytes clients have not taken when ctx ended, or
// when they had taken nothing for a while.
func (u *unsent) wait(ctx context.Context) (lost int) {
	u.mu.Lock()
	for c := range u.open { // whose end is not told yet
		u.close(c)
	}
	fds := u.closed
	u.mu.Unlock()
	var all sync.WaitGroup
	remains := make([]int, len(fds))
	for i, fd := range fds {
		all.Go(func() {
			defer unix.Close(fd)
			remains[i] = untilSent(ctx, fd)
		})
	}
	all.Wait()
	for _, n := range remains {
		lost += n
	}
	return lost
}

func untilSent(ctx context.Context, fd int) (remains int) {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	last, since := left(fd), time.Now()
	for last > 0 && time.Since(since) < unsentPause {
		select {
		case <-ctx.Done():
			return last
		case <-tick.C:
		}
		if now := left(fd); now != last {
			last, since = now, time.Now()
		}
	}
	return last
}

// hold returns another descriptor of a connection, or -1.
func hold(c net.Conn) int {
	conn, ok := c.(syscall.Conn)
	if !ok {
		return -1
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return -1
	}
	held := -1
	if err := raw.Control(func(fd uintptr) {
		if n, err := unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0); err == nil {
			held = n
		}
	}); err != nil {
		return -1 // closed
	}
	return held
}

// left is how many bytes the other side has not acknowledged. Of a connection that is broken nothing is left to do.
func left(fd int) int {
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
