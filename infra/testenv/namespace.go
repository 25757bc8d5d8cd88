package testenv

import (
	"os"
	"path/filepath"
	"testing"
)

// bind is a shell script. It mounts each pair of arguments before --, the first over the second, and runs the command
// after --.
const bind = `while [ "$1" != -- ]; do mount --bind "$1" "$2" || exit; shift 2; done; shift; exec "$@"`

// InPlaceOf returns the start of a command line that runs a program in a mount namespace. The program sees the files and
// folders that are keys of files at the paths that are their values, which must exist. The mounts end with its last process.
// It needs root.
func InPlaceOf(t testing.TB, files map[string]string) []string {
	t.Helper()
	needRoot(t, "a mount namespace")
	command := []string{Tool(t, "unshare"), "--mount", "--propagation", "private", "sh", "-c", bind, "bind"}
	for own, place := range files {
		command = append(command, own, place)
	}
	return append(command, "--")
}

// Mirror is the host name of entrepot in the documentation.
const Mirror = "mirror"

// writeFiles creates a folder with files. The keys are names, the values contents.
func writeFiles(t testing.TB, files map[string]string) string {
	t.Helper()
	folder := t.TempDir()
	for name, text := range files {
		path := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

// HostsWith writes a copy of /etc/hosts with one more name, and returns its path.
func HostsWith(t testing.TB, name, address string) string {
	t.Helper()
	hosts, err := os.ReadFile("/etc/hosts")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "hosts")
	if err := os.WriteFile(path, append(hosts, "\n"+address+" "+name+"\n"...), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}
