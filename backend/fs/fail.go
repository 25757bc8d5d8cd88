package fs

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	"github.com/entrepot-io/entrepot/backend"
)

// meanings maps errors of the operating system to errors of package backend. The others stay as they are.
var meanings = []struct{ err, means error }{
	{syscall.ENAMETOOLONG, backend.ErrKey},
	{syscall.ENOSPC, backend.ErrFull}, // of blocks or of inodes
	{syscall.EDQUOT, backend.ErrFull},
	{syscall.EFBIG, backend.ErrFull}, // the object is larger than the file system or RLIMIT_FSIZE allows
	{syscall.EROFS, backend.ErrReadOnly},
	{fs.ErrPermission, backend.ErrDenied},
}

// meaning wraps an error of the operating system in the backend error that it stands for.
func meaning(err error) error {
	for _, m := range meanings {
		if errors.Is(err, m.err) && !errors.Is(err, m.means) {
			return fmt.Errorf("%w: %w", m.means, err)
		}
	}
	return err
}

// fail adds the operation, the key and the backend error, and marks transient errors.
func fail(op, key string, err error) error {
	err = fmt.Errorf("file store: %s %s: %w", op, key, meaning(err))
	if isTransient(err) {
		return transient{err}
	}
	return err
}

// transient marks an error for backend.Transient.
type transient struct{ error }

func (t transient) Unwrap() error { return t.error }

func (t transient) Transient() bool { return true }

// isTransient reports whether err is a failure of the operating system that may pass. EIO is one, since disks and network
// file systems can recover.
func isTransient(err error) bool {
	if _, ok := errors.AsType[*backend.BodyError](err); ok {
		return false
	}
	errno, ok := errors.AsType[syscall.Errno](err)
	if !ok {
		return false
	}
	switch errno {
	case syscall.EIO, syscall.EBUSY, syscall.ENOMEM, syscall.ENOLCK, syscall.ESTALE:
		return true
	}
	return errno.Temporary() // interrupted, timed out, too many open files
}
