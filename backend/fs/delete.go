package fs

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path"
	"syscall"
)

// Delete removes the object and the folders that become empty, since the folders of fills would pile up otherwise. It does
// not sync: after a power cut the object may be back, intact.
func (s *Store) Delete(ctx context.Context, key string) error {
	root, err := s.begin(ctx, key)
	if err != nil {
		return fail("delete", key, err)
	}
	defer root.Close()
	unlock, err := s.lock(ctx, root)
	if err != nil {
		return fail("delete", key, err)
	}
	defer unlock()
	if err := remove(root, path.Join(objects, key)); err != nil {
		return fail("delete", key, err)
	}
	return nil
}

// remove removes a file. The lock must be held, so that nobody puts an object into an empty folder or in its place.
func remove(root *os.Root, name string) error {
	info, err := root.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR):
		return nil
	case err != nil:
		return err
	case info.IsDir():
		return nil // the key is only a prefix of other keys
	}
	if err := root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	removeEmpty(root, path.Dir(name))
	return nil
}

// removeEmpty removes a folder if it is empty or missing, and then the folders above it that are empty. The lock must be
// held, since a writer may have just created the folder.
func removeEmpty(root *os.Root, folder string) {
	for ; folder != objects; folder = path.Dir(folder) {
		info, err := root.Lstat(folder)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		// Remove would also remove a symbolic link, or an object at the name.
		if err != nil || !info.IsDir() || root.Remove(folder) != nil {
			return
		}
	}
}
