package fs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/entrepot-io/entrepot/backend"
)

// Open opens the store in the folder dir. It creates the folder if there is none and removes what dead writers left in it.
// An existing store opens even if it cannot be written, since its objects can still be read; writes then fail with
// backend.ErrFull, ErrReadOnly or ErrDenied. Open fails if there is no store in dir and none can be created, or if the
// store cannot be read.
func Open(dir string) (*Store, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("open file store: %w", err)
	}
	if err := create(dir); err != nil {
		return nil, fmt.Errorf("open file store: create folder: %w", err)
	}
	s := &Store{dir: dir, turn: make(chan struct{}, 1), fsync: (*os.File).Sync}
	root, err := s.root()
	if err != nil {
		return nil, fmt.Errorf("open file store: %w", err)
	}
	defer root.Close()
	if err := readable(root); err != nil {
		return nil, fmt.Errorf("open file store: read folder: %w", err)
	}
	if err := prepare(root); err != nil && !backend.IsUnwritable(meaning(err)) {
		return nil, fmt.Errorf("open file store: write to folder: %w", err)
	}
	return s, nil
}

// create creates the folder and its folder for objects, if they do not exist, and syncs them to disk.
func create(dir string) error {
	folder := filepath.Join(dir, objects)
	var grown []string // folders with a new entry
	for missing := folder; ; missing = filepath.Dir(missing) {
		if _, err := os.Lstat(missing); !errors.Is(err, fs.ErrNotExist) {
			break
		}
		grown = append(grown, filepath.Dir(missing))
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	for _, g := range grown {
		if f, err := os.Open(g); err == nil { // a folder above dir may be unreadable
			_ = f.Sync() // not all file systems can sync a folder; the first write reports that
			f.Close()
		}
	}
	return nil
}

// readable returns the error of reading the folder of the objects, if any.
func readable(root *os.Root) error {
	f, err := root.Open(objects)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.ReadDir(1); err != nil && err != io.EOF {
		return err
	}
	return nil
}

// prepare removes the drafts of dead writers, and returns an error if no draft can be created.
func prepare(root *os.Root) error {
	if err := sweepTemporary(context.Background(), root); err != nil {
		return err
	}
	// Deletes need the lock file, and a full disk has no room to create it.
	lock, err := root.OpenFile(lockFile, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	lock.Close()
	d, err := newDraft(root)
	if err != nil {
		return err
	}
	d.discard()
	return nil
}
