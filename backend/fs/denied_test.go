package fs_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/backend/fs"
	"github.com/entrepot-io/entrepot/infra/testenv"
)

func TestFolderOfAnotherUserIsReadable(t *testing.T) {
	if os.Geteuid() != 0 {
		testenv.NotRun(t, "only root may become another user")
	}
	dir, err := os.MkdirTemp("", "store") // only the owner can enter t.TempDir
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	require.NoError(t, os.Chmod(dir, 0o755))
	put(t, open(t, dir), "a/old", "old", backend.PutOptions{})
	out, err := asNobody(dir)
	require.NoError(t, err, out)

	require.NoError(t, os.Chmod(filepath.Join(dir, "objects"), 0o700))
	out, err = asNobody(dir)
	require.Error(t, err)
	require.Contains(t, out, "open file store: read folder")
}

// asNobody runs the helper visit as a user without rights.
func asNobody(dir string) (out string, err error) {
	cmd := exec.Command("/proc/self/exe", dir, "0") // only the owner can enter the binary's folder
	cmd.Env = append(os.Environ(), helperEnv+"=visit")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	text, err := cmd.CombinedOutput()
	return string(text), err
}

// visit is a helper that may read the store but not write to it.
func visit(s *fs.Store, _ uint64) error {
	if _, err := s.Stat(background, "a/old"); err != nil {
		return err
	}
	if _, err := s.Put(background, "a/new", strings.NewReader("x"), 1, backend.PutOptions{}); !errors.Is(err, backend.ErrDenied) {
		return fmt.Errorf("put: %w", err)
	}
	if err := s.Delete(background, "a/old"); !errors.Is(err, backend.ErrDenied) {
		return fmt.Errorf("delete: %w", err)
	}
	return nil
}
