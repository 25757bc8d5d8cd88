package fs

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"path"
	"syscall"
	"time"

	"github.com/entrepot-io/entrepot/backend"
)

// Touch sets the object's Modified to now, or stores an empty object. It does not sync.
func (s *Store) Touch(ctx context.Context, key string) error {
	root, err := s.begin(ctx, key)
	if err != nil {
		return fail("touch", key, err)
	}
	defer root.Close()
	now := time.Now()
	err = root.Chtimes(path.Join(objects, key), now, now)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		_, err := s.Put(ctx, key, bytes.NewReader(nil), 0, backend.PutOptions{})
		return err
	}
	if err != nil {
		return fail("touch", key, err)
	}
	return nil
}
