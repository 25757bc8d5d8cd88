package main_test

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// smallWindow has a connection take little that its program does not read.
func smallWindow(_, _ string, c syscall.RawConn) (err error) {
	failed := c.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, 4096) })
	if failed != nil {
		return failed
	}
	return err
}
