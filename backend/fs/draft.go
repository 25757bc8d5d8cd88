package fs

import (
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"path"
)

// draft is a file on its way to become an object. It is locked for as long as its writer lives, which is how a sweep
// knows the left-overs of the dead from the drafts of the living, however old either is.
type draft struct {
	*os.File
	root *os.Root
	name string // within root
}

func newDraft(root *os.Root) (*draft, error) {
	for {
		name := path.Join(temporary, rand.Text())
		f, err := root.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o644)
		if errors.Is(err, fs.ErrNotExist) {
			if err = makeTemporary(root); err == nil {
				continue
			}
		}
		if err != nil {
			return nil, err
		}
		d := &draft{File: f, root: root, name: name}
		// A sweep may come between the creation and the lock: it then holds the lock, or has removed the file.
		locked, err := tryLock(f)
		if locked && d.named() {
			return d, nil
		}
		d.discard()
		if err != nil {
			return nil, err
		}
	}
}

// makeTemporary creates the folder of the drafts, for which there may have been no room when the store was opened. If
// that of the objects is missing too this is not the store any more: its disk may have been unmounted.
func makeTemporary(root *os.Root) error {
	if _, err := root.Stat(objects); err != nil {
		return err
	}
	if err := root.Mkdir(temporary, 0o755); !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

// discard closes the draft and removes its name, which it has no more where it has become an object by rename.
func (d *draft) discard() {
	_ = d.root.Remove(d.name) // what cannot be removed now, the next sweep removes
	_ = d.Close()             // it was synced, or is not wanted
}

// named reports whether the draft's name still leads to its file.
func (d *draft) named() bool {
	mine, err := d.Stat()
	if err != nil {
		return false
	}
	found, err := d.root.Lstat(d.name)
	return err == nil && os.SameFile(mine, found)
}
