package fs

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"runtime"
	"syscall"
	"time"

	"github.com/entrepot-io/entrepot/backend"
)

// Put stores size bytes of body as the object.
func (s *Store) Put(ctx context.Context, key string, body io.Reader, size int64, o backend.PutOptions) (backend.Object, error) {
	obj, err := s.write(ctx, key, o, func(_ *os.Root, d *draft) (int64, error) {
		if size < 0 {
			return 0, fmt.Errorf("invalid size %d", size)
		}
		return size, fill(ctx, d, body, size, o.SHA256)
	})
	if err != nil {
		return backend.Object{}, fail("put", key, err)
	}
	return obj, nil
}

// Compose stores the concatenation of the parts as the object. It limits neither their sizes nor their number.
func (s *Store) Compose(ctx context.Context, key string, parts []backend.Object, o backend.PutOptions) (backend.Object, error) {
	obj, err := s.write(ctx, key, o, func(root *os.Root, d *draft) (size int64, err error) {
		for i, p := range parts {
			if err := errors.Join(backend.CheckKey(p.Key), ctx.Err()); err != nil {
				return 0, err
			}
			if err := appendPart(root, d, p); err != nil {
				return 0, fmt.Errorf("part %d: %s: %w", i+1, p.Key, err)
			}
			size += p.Size
		}
		return size, nil
	})
	if err != nil {
		return backend.Object{}, fail("compose", key, err)
	}
	return obj, nil
}

// write stores an object whose content writes it to a draft. content returns the number of bytes.
func (s *Store) write(ctx context.Context, key string, o backend.PutOptions, content func(*os.Root, *draft) (int64, error)) (backend.Object, error) {
	root, err := s.begin(ctx, key)
	if err != nil {
		return backend.Object{}, err
	}
	defer root.Close()
	d, err := newDraft(root)
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%w: %w", backend.ErrNoBucket, err)
	}
	if err != nil {
		return backend.Object{}, err
	}
	defer d.discard()
	size, err := content(root, d)
	if err != nil {
		return backend.Object{}, err
	}
	t := trailer{
		ETag:        backend.ETag(rand.Text()),
		ContentType: cmp.Or(o.ContentType, "application/octet-stream"),
		Metadata:    maps.Clone(o.Metadata),
	}
	text, err := t.bytes()
	if err != nil {
		return backend.Object{}, err
	}
	if _, err := d.Write(text); err != nil {
		return backend.Object{}, err
	}
	if err := s.fsync(d.File); err != nil {
		return backend.Object{}, err
	}
	if err := s.publish(ctx, root, d, key, o.Condition); err != nil {
		return backend.Object{}, err
	}
	return backend.Object{
		Key: key, Size: size, ETag: t.ETag, ContentType: t.ContentType, Metadata: t.Metadata, AsOf: time.Now(),
	}, nil
}

// fill copies size bytes of body to the draft. If want is not empty, it is the SHA-256 that they must have.
func fill(ctx context.Context, d *draft, body io.Reader, size int64, want string) error {
	var (
		sum hash.Hash
		dst io.Writer = d.File
	)
	if want != "" {
		sum = sha256.New()
		dst = io.MultiWriter(d.File, sum)
	}
	n, err := io.Copy(dst, io.LimitReader(untilDone{ctx, body}, size))
	switch {
	case err != nil:
		return err
	case n < size:
		return &backend.BodyError{Err: fmt.Errorf("ended after %d of %d bytes: %w", n, size, io.ErrUnexpectedEOF)}
	case sum != nil && hex.EncodeToString(sum.Sum(nil)) != want:
		return fmt.Errorf("%w: SHA-256 is %x, not %s", backend.ErrChecksum, sum.Sum(nil), want)
	}
	return nil
}

// untilDone is a body whose reads fail once the context is done.
type untilDone struct {
	ctx context.Context
	r   io.Reader
}

func (u untilDone) Read(p []byte) (int, error) {
	if err := u.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := u.r.Read(p)
	if err != nil && err != io.EOF {
		err = &backend.BodyError{Err: err}
	}
	return n, err
}

// appendPart appends the version of the object that p names to the draft. It checks the version in the same open file that
// it copies, so that no replacement can come in between.
func appendPart(root *os.Root, d *draft, p backend.Object) error {
	f, found, err := openObject(root, p.Key)
	if err != nil {
		return err
	}
	defer f.Close()
	if found.ETag != p.ETag || found.Size != p.Size {
		return fmt.Errorf("%w: version %s of %d bytes is now %s of %d", backend.ErrPrecondition, p.ETag, p.Size, found.ETag, found.Size)
	}
	// Between two *os.File this is copy_file_range: the bytes do not pass through this process, and file systems that share
	// blocks do not even copy them on disk.
	n, err := io.Copy(d.File, io.LimitReader(f, p.Size))
	if err == nil && n < p.Size {
		err = io.ErrUnexpectedEOF
	}
	return err
}

// publish gives the draft the object's name if the condition holds.
func (s *Store) publish(ctx context.Context, root *os.Root, d *draft, key string, c backend.Condition) error {
	unlock, err := s.lock(ctx, root)
	if err != nil {
		return err
	}
	created, err := rename(root, d, key, c)
	unlock()
	if err != nil {
		return err
	}
	return s.syncFolders(root, path.Join(objects, path.Dir(key)), created)
}

// rename reports whether it had to create folders. The lock must be held.
func rename(root *os.Root, d *draft, key string, c backend.Condition) (created bool, err error) {
	if c.IfMatch != "" {
		f, found, err := openObject(root, key)
		switch {
		case errors.Is(err, backend.ErrNotFound):
			return false, fmt.Errorf("%w: %w", backend.ErrPrecondition, err)
		case err != nil:
			return false, err
		}
		f.Close()
		if found.ETag != c.IfMatch {
			return false, fmt.Errorf("%w: version is %s, not %s", backend.ErrPrecondition, found.ETag, c.IfMatch)
		}
	}
	name, move := path.Join(objects, key), root.Rename
	if c.IfAbsent {
		move = root.Link // fails if the name exists, unlike rename
	}
	err = move(d.name, name)
	if errors.Is(err, fs.ErrNotExist) {
		created = true
		if err := root.MkdirAll(path.Dir(name), 0o755); err != nil {
			removeEmpty(root, path.Dir(name)) // some of them may have been created
			return false, err
		}
		if err = move(d.name, name); err != nil {
			removeEmpty(root, path.Dir(name))
		}
	}
	if errors.Is(err, fs.ErrExist) && c.IfAbsent {
		if info, statErr := root.Lstat(name); statErr == nil && info.IsDir() {
			return false, &fs.PathError{Op: "put", Path: name, Err: syscall.EISDIR}
		}
		err = fmt.Errorf("%w: %w", backend.ErrPrecondition, err)
	}
	return created, err
}

// syncFolders syncs a folder with a new name in it and, if all is set, the folders above it.
func (s *Store) syncFolders(root *os.Root, folder string, all bool) error {
	if runtime.GOOS == "windows" { // which cannot sync a folder, and journals names by itself
		return nil
	}
	for ; folder != "."; folder = path.Dir(folder) {
		f, err := root.Open(folder)
		if errors.Is(err, fs.ErrNotExist) {
			continue // the object and the folder have been deleted since
		}
		if err != nil {
			return err
		}
		err = s.fsync(f)
		f.Close()
		if err != nil || !all {
			return err
		}
	}
	return nil
}
