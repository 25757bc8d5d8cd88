package fs_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/backend"
	filestore "github.com/entrepot-io/entrepot/backend/fs"
	"github.com/entrepot-io/entrepot/infra/testenv"
)

// fillUp fills the file system of the folder to the last byte and returns the name of the file that takes the space.
func fillUp(t *testing.T, folder string) string {
	t.Helper()
	name := filepath.Join(folder, "ballast")
	f, err := os.Create(name)
	require.NoError(t, err)
	defer f.Close()
	for err == nil {
		_, err = f.Write(make([]byte, 4096))
	}
	require.ErrorIs(t, err, syscall.ENOSPC)
	return name
}

// takeInodes uses up the inodes of the folder's file system, except for left of them.
func takeInodes(t *testing.T, folder string, left int) {
	t.Helper()
	var names []string
	for {
		name := filepath.Join(folder, fmt.Sprint("inode", len(names)))
		f, err := os.Create(name)
		if err != nil {
			require.ErrorIs(t, err, syscall.ENOSPC)
			break
		}
		f.Close()
		names = append(names, name)
	}
	for _, name := range names[:left] {
		require.NoError(t, os.Remove(name))
	}
}

// below returns the names of all files and folders below a folder.
func below(t *testing.T, folder string) []string {
	t.Helper()
	var all []string
	require.NoError(t, filepath.WalkDir(folder, func(name string, _ fs.DirEntry, err error) error {
		all = append(all, name)
		return err
	}))
	return all
}

// requireRefused checks that every kind of write fails with want and leaves nothing, and that reads succeed.
func requireRefused(t *testing.T, s inspected, old backend.Object, want error) {
	t.Helper()
	before := below(t, s.dir)
	data := make([]byte, 1<<20)
	for name, write := range map[string]func() error{
		"put": func() error {
			_, err := s.Put(t.Context(), "a/new", bytes.NewReader(data), int64(len(data)), backend.PutOptions{})
			return err
		},
		"put in new folders": func() error {
			_, err := s.Put(t.Context(), "x/y/z/new", bytes.NewReader(data), int64(len(data)), backend.PutOptions{})
			return err
		},
		"put of a few bytes": func() error {
			_, err := s.Put(t.Context(), "a/new", strings.NewReader("x"), 1, backend.PutOptions{})
			return err
		},
		"put if absent": func() error {
			_, err := s.Put(t.Context(), "a/new", bytes.NewReader(data), int64(len(data)), backend.PutOptions{Condition: backend.Condition{IfAbsent: true}})
			return err
		},
		"put over a version": func() error {
			_, err := s.Put(t.Context(), old.Key, bytes.NewReader(data), int64(len(data)), backend.PutOptions{Condition: backend.Condition{IfMatch: old.ETag}})
			return err
		},
		"compose": func() error {
			_, err := s.Compose(t.Context(), "a/new", []backend.Object{old, old}, backend.PutOptions{})
			return err
		},
	} {
		err := write()
		require.ErrorIs(t, err, want, name)
		require.True(t, backend.IsUnwritable(err), name)
		require.NotErrorIs(t, err, backend.ErrPrecondition, name)
	}
	require.Equal(t, before, below(t, s.dir), "files left")
	requireOld(t, s, old)
}

func requireOld(t *testing.T, s inspected, old backend.Object) {
	t.Helper()
	found, err := s.Stat(t.Context(), old.Key)
	require.NoError(t, err)
	require.Equal(t, old.ETag, found.ETag)
	for o, err := range s.List(t.Context(), "", "") {
		require.NoError(t, err)
		require.Equal(t, old.Key, o.Key)
	}
}

func TestFullDiskCanBeRead(t *testing.T) {
	dir := testenv.TmpFS(t, "size=4m")
	s := open(t, filepath.Join(dir, "store"))
	old := put(t, s, "a/old", strings.Repeat("old!", 1<<16), backend.PutOptions{})
	ballast := fillUp(t, dir)
	requireRefused(t, s, old, backend.ErrFull)
	requireRefused(t, open(t, s.dir), old, backend.ErrFull)

	require.NoError(t, os.Remove(ballast))
	put(t, s, "a/old", "new", backend.PutOptions{})
	fillUp(t, dir)
	require.NoError(t, s.Delete(t.Context(), "a/old"), "delete on a full disk")
}

func TestComposeOnFullDiskIsErrFull(t *testing.T) {
	dir := testenv.TmpFS(t, "size=4m")
	s := open(t, dir)
	half := put(t, s, "half", strings.Repeat("half", 3<<18), backend.PutOptions{}) // 3 of 4 MiB
	_, err := s.Compose(t.Context(), "whole", []backend.Object{half, half}, backend.PutOptions{})
	require.ErrorIs(t, err, backend.ErrFull)
	require.Empty(t, s.Leftovers(t, ""))
	requireOld(t, s, half)
}

func TestDiskWithoutInodesIsFull(t *testing.T) {
	for left := range 4 { // the draft and three folders need four
		t.Run(fmt.Sprint(left, " left"), func(t *testing.T) {
			dir := testenv.TmpFS(t, "size=1m,nr_inodes=20")
			s := open(t, filepath.Join(dir, "store"))
			old := put(t, s, "a/old", "old", backend.PutOptions{})
			takeInodes(t, dir, left)
			before := below(t, s.dir)
			for _, o := range []backend.PutOptions{{}, {Condition: backend.Condition{IfAbsent: true}}} {
				_, err := s.Put(t.Context(), "x/y/z/new", strings.NewReader("x"), 1, o)
				require.ErrorIs(t, err, backend.ErrFull)
			}
			require.Equal(t, before, below(t, s.dir), "files left")
			requireOld(t, open(t, s.dir), old)
		})
	}
}

func TestReadOnlyDiskCanBeRead(t *testing.T) {
	dir := testenv.TmpFS(t, "size=4m")
	s := open(t, filepath.Join(dir, "store"))
	old := put(t, s, "a/old", "old", backend.PutOptions{})
	leftover := filepath.Join(s.dir, "tmp", "leftover")
	require.NoError(t, os.WriteFile(leftover, nil, 0o600))
	testenv.Remount(t, dir, "ro")
	for _, s := range []inspected{s, open(t, s.dir)} {
		requireRefused(t, s, old, backend.ErrReadOnly)
		require.ErrorIs(t, s.Delete(t.Context(), old.Key), backend.ErrReadOnly)
	}

	testenv.Remount(t, dir, "rw")
	require.NoError(t, os.Remove(leftover))
	put(t, s, "a/old", "new", backend.PutOptions{})
}

// A backup or copy of a store may omit the empty folder for drafts.
func TestStoreWithoutTmpFolder(t *testing.T) {
	dir := testenv.TmpFS(t, "size=4m")
	s := open(t, filepath.Join(dir, "store"))
	old := put(t, s, "a/old", "old", backend.PutOptions{})
	require.NoError(t, os.Remove(filepath.Join(s.dir, "tmp")))
	testenv.Remount(t, dir, "ro")
	requireRefused(t, open(t, s.dir), old, backend.ErrReadOnly)
	testenv.Remount(t, dir, "rw")
	put(t, s, "a/old", "new", backend.PutOptions{})
}

func TestOpenFailsOnNewFullOrReadOnlyDisk(t *testing.T) {
	dir := testenv.TmpFS(t, "size=1m,nr_inodes=20")
	takeInodes(t, dir, 1)
	_, err := filestore.Open(filepath.Join(dir, "store"))
	require.ErrorContains(t, err, "open file store: create folder")
	require.NoError(t, os.RemoveAll(filepath.Join(dir, "store")))
	require.NoError(t, os.Mkdir(filepath.Join(dir, "store"), 0o755))
	testenv.Remount(t, dir, "ro")
	for _, name := range []string{"store", "other"} {
		_, err = filestore.Open(filepath.Join(dir, name))
		require.ErrorContains(t, err, "open file store: create folder", name)
	}
}

// A file may exceed the limit of the file system or of the process.
func TestFileSizeLimitIsErrFull(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	cmd, stderr := helper(t, "limit", dir, 0)
	require.NoError(t, cmd.Wait(), stderr)
	require.Empty(t, s.Leftovers(t, ""))
}

// putPastLimit is a helper, since the limit applies to the whole process.
func putPastLimit(s *filestore.Store, _ uint64) error {
	const limit = 64 << 10
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: limit, Max: limit}); err != nil {
		return err
	}
	_, err := s.Put(background, "a", bytes.NewReader(make([]byte, limit)), limit, backend.PutOptions{})
	if !errors.Is(err, backend.ErrFull) {
		return fmt.Errorf("put past the limit: %w", err)
	}
	_, err = s.Put(background, "b", bytes.NewReader(make([]byte, limit/2)), limit/2, backend.PutOptions{})
	return err
}

func TestMeaningOfSystemErrors(t *testing.T) {
	for errno, want := range map[syscall.Errno]error{
		syscall.ENOSPC: backend.ErrFull, syscall.EDQUOT: backend.ErrFull, syscall.EFBIG: backend.ErrFull,
		syscall.EROFS:  backend.ErrReadOnly,
		syscall.EACCES: backend.ErrDenied, syscall.EPERM: backend.ErrDenied,
		syscall.ENAMETOOLONG: backend.ErrKey,
	} {
		for _, err := range []error{errno, &fs.PathError{Op: "write", Err: errno}, &os.LinkError{Op: "link", Err: errno}, os.NewSyscallError("copy_file_range", errno)} {
			require.ErrorIs(t, filestore.Meaning(err), want)
			require.ErrorIs(t, filestore.Meaning(err), errno)
		}
	}
	for _, errno := range []syscall.Errno{syscall.EIO, syscall.ENOENT, syscall.EMFILE, syscall.ENOMEM, syscall.ESTALE} {
		require.Equal(t, errno, filestore.Meaning(errno))
	}
}
