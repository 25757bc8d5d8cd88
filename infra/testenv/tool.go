// Package testenv starts the real servers and clients that tests use: object stores, registries, container runtimes. Each
// listens on a free loopback port and stops when the test ends. The package does not depend on the code under test.
package testenv

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
)

// Tool returns the path of a program in .tools/bin (see `make tools`), otherwise on the PATH. It calls Missing if it finds none.
func Tool(t testing.TB, name string) string {
	t.Helper()
	if path := filepath.Join(Root(), ".tools", "bin", name); isFile(path) {
		return path
	}
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	Missing(t, "%s is neither in .tools/bin (make tools) nor on the PATH", name)
	return ""
}

// Root returns the repository's root folder.
func Root() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(file), "..", "..")
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}
