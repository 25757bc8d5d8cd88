package testenv

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// PeakMemory returns the peak resident memory of the process so far, in bytes. It reads Linux's /proc.
func (p *Process) PeakMemory(t testing.TB) int64 {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.Cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(status), "VmHWM:")
	var kib int64
	if _, err := fmt.Sscanf(text, "%d kB", &kib); err != nil {
		t.Fatalf("VmHWM of %s: %v", p.Name, err)
	}
	return kib << 10
}
