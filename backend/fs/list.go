package fs

import (
	"context"
	"errors"
	"io/fs"
	"iter"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"

	"github.com/entrepot-io/entrepot/backend"
)

// List yields the objects whose keys begin with prefix and come after the key after, in byte order. It holds the names of
// one folder per level in memory. It skips files that are not objects of this store.
func (s *Store) List(ctx context.Context, prefix, after string) iter.Seq2[backend.Object, error] {
	return func(yield func(backend.Object, error) bool) {
		if !backend.CanPrefix(prefix) {
			return
		}
		root, err := s.root()
		if err == nil {
			defer root.Close()
			_, err = root.Stat(objects)
		}
		if errors.Is(err, fs.ErrNotExist) {
			err = backend.ErrNoBucket
		}
		if err != nil {
			yield(backend.Object{}, fail("list", prefix, err))
			return
		}
		l := listing{ctx: ctx, root: root, prefix: prefix, after: after, yield: yield}
		folder, _ := path.Split(prefix)
		if err := l.folder(folder); err != nil && !errors.Is(err, errStop) {
			yield(backend.Object{}, fail("list", prefix, err))
		}
	}
}

// errStop ends a listing whose consumer needs no more objects.
var errStop = errors.New("stop")

type listing struct {
	ctx           context.Context
	root          *os.Root
	prefix, after string
	yield         func(backend.Object, error) bool
}

// folder yields the objects below a folder. Its name is empty or ends with a slash.
func (l *listing) folder(folder string) error {
	names, err := l.names(folder)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := l.ctx.Err(); err != nil {
			return err
		}
		if strings.HasSuffix(name, "/") {
			err = l.folder(name)
		} else {
			err = l.object(name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// names returns the keys in a folder that the listing may need. Those of folders end with a slash, so that they sort like
// the keys below them: "a-b" comes before "a/b", though the file name "a" comes before "a-b".
func (l *listing) names(folder string) ([]string, error) {
	f, err := l.root.Open(path.Join(objects, folder))
	if err != nil {
		return nil, ignoreGone(err)
	}
	defer f.Close()
	entries, err := f.ReadDir(-1)
	if err != nil {
		return nil, ignoreGone(err)
	}
	var names []string
	for _, e := range entries {
		name := folder + e.Name()
		switch {
		case e.IsDir():
			name += "/"
			if !strings.HasPrefix(name, l.prefix) && !strings.HasPrefix(l.prefix, name) {
				continue
			}
			if name <= l.after && !strings.HasPrefix(l.after, name) {
				continue
			}
		case !e.Type().IsRegular() || !strings.HasPrefix(name, l.prefix) || name <= l.after:
			continue
		}
		names = append(names, name)
	}
	slices.Sort(names)
	return names, nil
}

func (l *listing) object(key string) error {
	f, o, err := openObject(l.root, key)
	if errors.Is(err, backend.ErrNotFound) || errors.Is(err, errNoObject) {
		return nil
	}
	if err != nil {
		return err
	}
	f.Close()
	if !l.yield(backend.Object{Key: key, Size: o.Size, ETag: o.ETag, Modified: o.Modified}, nil) {
		return errStop
	}
	return nil
}

// ignoreGone returns nil for an entry that was deleted since it was seen, and for a prefix that is a file.
func ignoreGone(err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return nil
	}
	return err
}
