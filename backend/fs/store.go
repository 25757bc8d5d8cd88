// Package fs implements the object store in a local folder: the default, for one machine without a bucket.
//
// The folder contains
//
//	objects/  one plain file per object, at its key
//	tmp/      files that are being written and folders that are being removed
//	lock      locked while the name of an object changes
//
// A file holds the object's bytes, followed by a trailer with the other attributes (see trailer). So one rename makes an
// object visible with its content type and metadata, and kill -9 cannot separate them. Not all file systems have extended
// attributes, and no rename moves two files together. The bytes come first because sendfile and copy_file_range need
// offset 0 to share blocks.
//
// Any number of processes on one machine can share the folder. The file system must support locks, hard links and renames
// that replace a file, as all common local ones do.
package fs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"syscall"
	"time"

	"github.com/entrepot-io/entrepot/backend"
)

const (
	objects   = "objects"
	temporary = "tmp"
	lockFile  = "lock"
)

// Store keeps objects in a folder. It implements backend.Store and backend.Composer, but not backend.Presigner. It holds
// no resources between calls unless Expire has been called.
//
// A segment of a key is a file name. Most file systems limit it to 255 bytes; longer ones fail with backend.ErrKey. Store
// follows symbolic links within the folder, but List skips them. Compose takes any number of parts of any size.
type Store struct {
	dir   string
	turn  chan struct{}        // capacity 1: which goroutine of this process may lock the lock file
	fsync func(*os.File) error // (*os.File).Sync, except in tests
	stop  func()               // ends the work that Expire started and waits for it; nil: none
}

var (
	_ backend.Store    = (*Store)(nil)
	_ backend.Composer = (*Store)(nil)
	_ backend.Toucher  = (*Store)(nil)
)

// root opens the folder. Each call opens it again, to notice that the folder was removed or has come back.
func (s *Store) root() (*os.Root, error) {
	root, err := os.OpenRoot(s.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %w", backend.ErrNoBucket, err)
	}
	return root, err
}

// begin starts every call on one object. The caller closes the root.
func (s *Store) begin(ctx context.Context, key string) (*os.Root, error) {
	if err := backend.CheckKey(key); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return s.root()
}

// Stat describes the object.
func (s *Store) Stat(ctx context.Context, key string) (backend.Object, error) {
	f, o, err := s.open(ctx, key)
	if err != nil {
		return backend.Object{}, fail("stat", key, err)
	}
	f.Close()
	return o, nil
}

// open opens an object's file at the object's first byte.
func (s *Store) open(ctx context.Context, key string) (*os.File, backend.Object, error) {
	root, err := s.begin(ctx, key)
	if err != nil {
		return nil, backend.Object{}, err
	}
	defer root.Close()
	f, o, err := openObject(root, key)
	if errors.Is(err, backend.ErrNotFound) {
		if _, gone := root.Stat(objects); errors.Is(gone, fs.ErrNotExist) {
			err = fmt.Errorf("%w: %w", backend.ErrNoBucket, gone)
		}
	}
	return f, o, err
}

func openObject(root *os.Root, key string) (*os.File, backend.Object, error) {
	f, err := root.Open(path.Join(objects, key))
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
			err = fmt.Errorf("%w: %w", backend.ErrNotFound, err)
		}
		return nil, backend.Object{}, err
	}
	o, err := describe(f, key)
	if err != nil {
		f.Close()
		return nil, backend.Object{}, err
	}
	return f, o, nil
}

func describe(f *os.File, key string) (backend.Object, error) {
	info, err := f.Stat()
	if err != nil {
		return backend.Object{}, err
	}
	if info.IsDir() {
		return backend.Object{}, fmt.Errorf("%w: it is a folder", backend.ErrNotFound)
	}
	t, size, err := readTrailer(f, info.Size())
	if err != nil {
		return backend.Object{}, err
	}
	return backend.Object{
		Key: key, Size: size, ETag: t.ETag, ContentType: t.ContentType, Metadata: t.Metadata,
		Modified: info.ModTime(), AsOf: time.Now(),
	}, nil
}
