package testenv

import (
	"os"
	"testing"
	"time"
)

func needRoot(t testing.TB, name string) {
	t.Helper()
	if os.Geteuid() != 0 {
		Missing(t, "%s needs root", name)
	}
}

// shortTempDir is like t.TempDir, but with a path short enough for a Unix socket, whose limit is 107 bytes.
func shortTempDir(t testing.TB) string {
	t.Helper()
	folder, err := os.MkdirTemp("", "e2e-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		// A tool's child process, such as podman's conmon, may still be writing here until it exits. A folder left behind
		// does not fail the test.
		err := os.RemoveAll(folder)
		for until := time.Now().Add(10 * time.Second); err != nil && time.Now().Before(until); err = os.RemoveAll(folder) {
			time.Sleep(100 * time.Millisecond)
		}
		if err != nil {
			t.Logf("left behind: %v", err)
		}
	})
	return folder
}
