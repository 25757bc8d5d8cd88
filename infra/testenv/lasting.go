package testenv

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
)

// last has the folders and cleanups that Main handles after the package's last test.
var last struct {
	mu       sync.Mutex
	folder   string
	folders  int
	cleanups []func()
}

// Lasting returns t for resources that the tests of a package share: its folders stay and its cleanups wait until Main
// has run all tests.
func Lasting(t testing.TB) testing.TB { return lasting{t} }

type lasting struct{ testing.TB }

func (lasting) Cleanup(f func()) {
	last.mu.Lock()
	defer last.mu.Unlock()
	last.cleanups = append(last.cleanups, f)
}

func (l lasting) TempDir() string {
	l.Helper()
	last.mu.Lock()
	defer last.mu.Unlock()
	if last.folder == "" {
		folder, err := os.MkdirTemp("", "entrepot-test-")
		if err != nil {
			l.Fatal(err)
		}
		last.folder = folder
	}
	last.folders++
	path := filepath.Join(last.folder, strconv.Itoa(last.folders))
	if err := os.Mkdir(path, 0o700); err != nil {
		l.Fatal(err)
	}
	return path
}

// Failed returns false: shared resources belong to no single test.
func (lasting) Failed() bool { return false }

// Main runs the tests of a package, cleans up the resources of Lasting, and returns the exit code.
func Main(m *testing.M) int {
	code := m.Run()
	last.mu.Lock()
	cleanups, folder := last.cleanups, last.folder
	last.mu.Unlock()
	for i := len(cleanups) - 1; i >= 0; i-- {
		cleanups[i]()
	}
	if folder == "" {
		return code
	}
	if err := os.RemoveAll(folder); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return max(code, 1)
	}
	return code
}
