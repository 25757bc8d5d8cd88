package fs_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/backend/backendtest"
	"github.com/entrepot-io/entrepot/backend/fs"
)

// inspected is a store whose temporary files tests can list.
type inspected struct {
	*fs.Store
	dir string
}

func (i inspected) Leftovers(t testing.TB, _ string) []string {
	entries, err := os.ReadDir(filepath.Join(i.dir, "tmp"))
	require.NoError(t, err)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func open(t testing.TB, dir string) inspected {
	t.Helper()
	s, err := fs.Open(dir)
	require.NoError(t, err)
	return inspected{s, dir}
}

func TestStore(t *testing.T) {
	backendtest.Run(t, func(t *testing.T) backend.Store { return open(t, t.TempDir()) })
	t.Run("missing folder", func(t *testing.T) {
		s := open(t, filepath.Join(t.TempDir(), "store"))
		require.NoError(t, os.RemoveAll(s.dir))
		backendtest.Missing(t, s)
	})
}
