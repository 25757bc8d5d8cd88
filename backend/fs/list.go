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

// List yields the objects whose keys begin with prefix and come after the key after, in byte order. It holds
// 100,000 names of one folder per level in memory. It skips files that are not objects of this store.
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

// maxNames is how many names of a folder are in memory at a time, twice. A larger folder is read several times.
var maxNames = 50_000 // tests lower it

// folder yields the objects below a folder. Its name is empty or ends with a slash.
func (l *listing) folder(folder string) error {
	last := ""
	for {
		names, err := l.names(folder, last)
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
		if len(names) < maxNames {
			return nil
		}
		last = names[len(names)-1]
	}
}

// names returns the first keys after last in a folder that the listing may need, at most maxNames. Those of folders end with
// a slash, so that they sort like the keys below them: "a-b" comes before "a/b", though the file name "a" comes before "a-b".
func (l *listing) names(folder, last string) ([]string, error) {
	var names []string
	first := func() {
		slices.Sort(names)
		names = names[:min(maxNames, len(names))]
	}
	most := "" // greater ones are for later; empty: none is
	err := each(l.root, path.Join(objects, folder), func(e fs.DirEntry) error {
		name := folder + e.Name()
		if e.IsDir() {
			name += "/"
		}
		if name <= last || most != "" && name > most || !l.needs(name, e) {
			return nil
		}
		if names = append(names, name); len(names) == 2*maxNames {
			first()
			most = names[maxNames-1]
		}
		return nil
	})
	first()
	return names, err
}

// needs reports whether the listing may have to yield an entry of a folder, or what is below it.
func (l *listing) needs(name string, e fs.DirEntry) bool {
	if e.IsDir() {
		return (strings.HasPrefix(name, l.prefix) || strings.HasPrefix(l.prefix, name)) &&
			(name > l.after || strings.HasPrefix(l.after, name))
	}
	return e.Type().IsRegular() && strings.HasPrefix(name, l.prefix) && name > l.after
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
