package fs_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/backend"
)

func TestTransientSystemErrors(t *testing.T) {
	for errno, want := range map[syscall.Errno]bool{
		syscall.EIO: true, syscall.EINTR: true, syscall.EAGAIN: true, syscall.EMFILE: true, syscall.ENFILE: true,
		syscall.ENOMEM: true, syscall.EBUSY: true, syscall.ESTALE: true, syscall.ENOLCK: true, syscall.ETIMEDOUT: true,
		syscall.ENOSPC: false, syscall.EDQUOT: false, syscall.EROFS: false, syscall.EACCES: false, syscall.ENAMETOOLONG: false,
		syscall.EISDIR: false, syscall.ENOTDIR: false, syscall.EINVAL: false,
	} {
		t.Run(errno.Error(), func(t *testing.T) {
			s := open(t, t.TempDir())
			s.OnSync(func(f *os.File) error { return &os.PathError{Op: "sync", Path: f.Name(), Err: errno} })
			_, err := s.Put(t.Context(), "a", strings.NewReader("x"), 1, backend.PutOptions{})
			require.ErrorIs(t, err, errno)
			require.Equal(t, want, backend.Transient(err))
			require.False(t, backend.Refused(err))
		})
	}
}

func TestOtherErrorsAreNotTransient(t *testing.T) {
	s := open(t, t.TempDir())
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	for name, do := range map[string]func() error{
		"no object": func() error { _, err := s.Stat(t.Context(), "none"); return err },
		"cancellation": func() error {
			_, err := s.Put(canceled, "a", strings.NewReader("x"), 1, backend.PutOptions{})
			return err
		},
		"short body": func() error {
			_, err := s.Put(t.Context(), "a", strings.NewReader("x"), 2, backend.PutOptions{})
			require.ErrorIs(t, err, io.ErrUnexpectedEOF)
			return err
		},
		"failing body": func() error {
			body := iotest.ErrReader(&net.OpError{Op: "read", Err: os.NewSyscallError("read", syscall.ETIMEDOUT)})
			_, err := s.Put(t.Context(), "a", body, 2, backend.PutOptions{})
			_, ok := errors.AsType[*backend.BodyError](err)
			require.True(t, ok)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			err := do()
			require.Error(t, err)
			require.False(t, backend.Transient(err), err)
		})
	}
}

func TestCutFileIsTransient(t *testing.T) {
	s := open(t, t.TempDir())
	put(t, s, "a", strings.Repeat("x", 1000), backend.PutOptions{})
	body, _, err := s.Get(t.Context(), "a", backend.Range{})
	require.NoError(t, err)
	defer body.Close()
	require.NoError(t, os.Truncate(s.dir+"/objects/a", 10))
	_, err = io.ReadAll(body)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	require.True(t, backend.Transient(err))
}
