package main_test

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// smallWindow limits a connection's receive buffer to a few KB.
func smallWindow(_, _ string, c syscall.RawConn) (err error) {
	failed := c.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, 4096) })
	if failed != nil {
		return failed
	}
	return err
}
