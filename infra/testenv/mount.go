package testenv

import (
	"os"
	"os/exec"
	"testing"
)

// TmpFS mounts a tmpfs with options of mount(8), such as size=1m or nr_inodes=10, and returns its folder. Without root it
// always skips the test, even if Missing would fail it, so that `make test` does not need root.
func TmpFS(t testing.TB, options string) string {
	t.Helper()
	if os.Geteuid() != 0 {
		NotRun(t, "mounting a file system needs root")
	}
	folder := t.TempDir()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", options, "tmpfs", folder).CombinedOutput(); err != nil {
		Missing(t, "mount a tmpfs: %v: %s", err, out)
	}
	t.Cleanup(func() {
		// Lazily, since a program that the test started may still be running.
		if out, err := exec.Command("umount", "--lazy", folder).CombinedOutput(); err != nil {
			t.Errorf("umount %s: %v: %s", folder, err, out)
		}
	})
	return folder
}

// Remount changes the options of a file system that TmpFS mounted, for example to ro.
func Remount(t testing.TB, folder, options string) {
	t.Helper()
	if out, err := exec.Command("mount", "-o", "remount,"+options, folder).CombinedOutput(); err != nil {
		t.Fatalf("remount %s with %s: %v: %s", folder, options, err, out)
	}
}
