//go:build failpoints

// Package failpoint lets tests kill or stop the process at a named moment of a fill.
package failpoint

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

var passed atomic.Int64

// Reached kills or stops the process at a moment that ENTREPOT_TEST_FAILPOINT names: "kill:segment stored:3" is the
// third time that a segment was stored. Nothing is flushed, closed or given back, as when a machine dies.
func Reached(moment string) {
	fields := strings.Split(os.Getenv("ENTREPOT_TEST_FAILPOINT"), ":")
	if len(fields) != 3 || fields[1] != moment {
		return
	}
	at, err := strconv.ParseInt(fields[2], 10, 64)
	if err != nil || passed.Add(1) != at {
		return
	}
	fmt.Fprintln(os.Stderr, "failpoint:", strings.Join(fields, ":"))
	signal := syscall.SIGKILL
	if fields[0] == "stop" {
		signal = syscall.SIGSTOP
	}
	_ = syscall.Kill(os.Getpid(), signal) // if this fails, the test notices that nothing happened
	if fields[0] == "kill" {
		select {} // the signal is on its way
	}
	time.Sleep(time.Second) // so is this one, and it stops whatever thread it meets first
}
