package fs

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
)

// batch is the number of names read from a folder in one call.
const batch = 256

// each calls f for every entry of a folder. A missing folder counts as empty.
func each(root *os.Root, folder string, f func(fs.DirEntry) error) error {
	dir, err := root.Open(folder)
	if err != nil {
		return ignoreGone(err)
	}
	defer dir.Close()
	for {
		entries, err := dir.ReadDir(batch)
		for _, e := range entries {
			if err := f(e); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return ignoreGone(err)
		}
	}
}

// sweepTemporary removes the drafts of dead writers and the folders that dead sweeps left behind.
func sweepTemporary(ctx context.Context, root *os.Root) error {
	return each(root, temporary, func(e fs.DirEntry) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		name := path.Join(temporary, e.Name())
		if e.IsDir() {
			_ = removeTree(ctx, root, name) // a later sweep tries again
			return nil
		}
		f, err := root.OpenFile(name, os.O_RDWR, 0)
		if err != nil {
			return nil // it has become an object, or another sweep has removed it
		}
		defer f.Close()
		if locked, _ := tryLock(f); locked { // a file that cannot be locked stays
			_ = root.Remove(name) // a later sweep tries again
		}
		return nil
	})
}

// removeTree removes a folder in tmp/ and its content, until ctx ends. Another process may do the same concurrently.
func removeTree(ctx context.Context, root *os.Root, folder string) error {
	err := each(root, folder, func(e fs.DirEntry) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		return root.RemoveAll(path.Join(folder, e.Name()))
	})
	if err != nil {
		return err
	}
	return root.RemoveAll(folder)
}
