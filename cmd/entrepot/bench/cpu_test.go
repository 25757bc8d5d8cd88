//go:build bench

package bench_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/entrepot-io/entrepot/infra/testenv"
)

// tick is the unit of times in /proc/PID/stat. Linux always has USER_HZ = 100.
const tick = 10 * time.Millisecond

// cpuTime returns the CPU time, user and system, of a process and its running children so far.
func cpuTime(t *testing.T, p *testenv.Process) time.Duration {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	const group, user, system = 2, 11, 12 // fields after the name, see proc_pid_stat(5)
	var ticks int64
	for _, file := range files {
		stat, err := os.ReadFile(file)
		if err != nil {
			continue // the process has ended
		}
		fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
		// testenv starts each program in its own process group.
		if string(fields[group]) != strconv.Itoa(p.Cmd.Process.Pid) {
			continue
		}
		for _, field := range []int{user, system} {
			n, err := strconv.ParseInt(string(fields[field]), 10, 64)
			if err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			ticks += n
		}
	}
	return time.Duration(ticks) * tick
}
