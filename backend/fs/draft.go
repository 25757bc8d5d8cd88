package fs

import (
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"path"
)

// draft is a file that becomes an object. It stays locked while its writer lives, so a sweep can distinguish the drafts of
// live writers from those of dead ones, whatever their age.
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
		// A sweep may have locked or removed the file since its creation.
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

// makeTemporary creates the folder for drafts, for which a full disk may have had no room when the store was opened. If the
// folder for objects is missing too, the disk of the store may have been unmounted.
func makeTemporary(root *os.Root) error {
	if _, err := root.Stat(objects); err != nil {
		return err
	}
	if err := root.Mkdir(temporary, 0o755); !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

// discard closes the draft and removes its temporary name, which a rename to the object's name has already removed.
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
