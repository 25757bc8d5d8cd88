package fs

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path"
	"time"

	"github.com/entrepot-io/entrepot/backend"
)

// Rule defines when objects expire, like a lifecycle rule of a bucket.
type Rule struct {
	// Prefix selects the objects by their keys. It ends with a slash. The prefix of a second rule within it is excluded.
	Prefix string
	// After is the age at which objects expire: the time since they were written, by the file system's clock.
	After time.Duration
	// Together makes all objects below a folder in Prefix expire together, when the youngest of them does. An object outside
	// of such a folder expires on its own.
	Together bool
}

// expireEvery is the interval between two searches for expired objects.
const expireEvery = time.Hour

// Expire removes expired objects and the files of dead writers: now and every hour, in the background, until Close. Call
// it at most once. Other processes that share the folder may do the same.
func (s *Store) Expire(log *slog.Logger, rules ...Rule) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	s.stop = func() { cancel(); <-done }
	go func() {
		defer close(done)
		ticker := time.NewTicker(expireEvery)
		defer ticker.Stop()
		for {
			s.expire(ctx, log, rules)
			select {
			case <-ticker.C:
			case <-ctx.Done():
				return
			}
		}
	}()
}

// Close stops the work that Expire started and waits for it. It returns nil.
func (s *Store) Close() error {
	if s.stop != nil {
		s.stop()
	}
	return nil
}

// expire removes what has expired now.
func (s *Store) expire(ctx context.Context, log *slog.Logger, rules []Rule) {
	root, err := s.root()
	if err != nil {
		log.Warn("expired objects not removed", "error", err)
		return
	}
	defer root.Close()
	now, err := clock(root)
	if err != nil {
		if !errors.Is(meaning(err), backend.ErrReadOnly) { // nothing can be removed
			log.Warn("expired objects not removed", "error", err)
		}
		return
	}
	if err := sweepTemporary(ctx, root); err != nil && ctx.Err() == nil {
		log.Warn("temporary files not removed", "error", err)
	}
	for _, rule := range rules {
		e := expiry{store: s, ctx: ctx, root: root, rule: rule, others: rules, before: now.Add(-rule.After)}
		err := errors.Join(e.folder(path.Join(objects, rule.Prefix)), e.failed)
		if e.removed.objects > 0 {
			log.Info("expired objects removed", "prefix", rule.Prefix, "objects", e.removed.objects, "bytes", e.removed.bytes)
		}
		if err != nil && ctx.Err() == nil {
			log.Warn("expired objects not removed", "prefix", rule.Prefix, "error", err)
		}
	}
}

// clock returns the time by the file system's clock, which can be a server's. It is the time of a new file.
func clock(root *os.Root) (time.Time, error) {
	d, err := newDraft(root)
	if errors.Is(meaning(err), backend.ErrFull) {
		return time.Now(), nil // a full disk has no room for the file but needs the space that expiry frees
	}
	if err != nil {
		return time.Time{}, err
	}
	defer d.discard()
	info, err := d.Stat()
	if err != nil {
		return time.Time{}, err
	}
	return info.ModTime(), nil
}

// expiry applies one rule to the store once.
type expiry struct {
	store   *Store
	ctx     context.Context
	root    *os.Root
	rule    Rule
	others  []Rule
	before  time.Time // objects written later have not expired
	removed amount
	failed  error // the first failure that left an object in place
}

type amount struct{ objects, bytes int64 }

// folder applies the rule to a folder. Names are paths within the root.
func (e *expiry) folder(folder string) error {
	empty := true
	err := each(e.root, folder, func(entry fs.DirEntry) error {
		empty = false
		if err := e.ctx.Err(); err != nil {
			return err
		}
		name := path.Join(folder, entry.Name())
		var err error
		switch {
		case entry.IsDir() && e.hasOwnRule(name):
		case entry.IsDir() && !e.rule.Together:
			err = e.folder(name)
		case entry.IsDir() || entry.Type().IsRegular():
			err = e.unit(name)
		}
		if err != nil && e.ctx.Err() == nil {
			e.failed, err = cmp.Or(e.failed, err), nil // go on with the rest
		}
		return err
	})
	if err == nil && empty && folder != path.Join(objects, e.rule.Prefix) {
		return e.locked(func() error { removeEmpty(e.root, folder); return nil })
	}
	return err
}

// hasOwnRule reports whether another rule applies to the folder.
func (e *expiry) hasOwnRule(folder string) bool {
	for _, other := range e.others {
		if other.Prefix != e.rule.Prefix && folder == path.Join(objects, other.Prefix) {
			return true
		}
	}
	return false
}

// unit removes a file, or a folder whose objects expire together, if it has expired.
func (e *expiry) unit(name string) error {
	// Look without the lock first: most objects are too young.
	if _, expired, err := e.look(name); err != nil || !expired {
		return err
	}
	trash := path.Join(temporary, rand.Text())
	var found amount
	err := e.locked(func() error {
		// A writer may have come in between: the lease of an abandoned fill may have been taken over.
		var expired bool
		var err error
		if found, expired, err = e.look(name); err != nil || !expired {
			found = amount{}
			return err
		}
		info, err := e.root.Lstat(name)
		if err != nil {
			return ignoreGone(err)
		}
		if !info.IsDir() {
			return remove(e.root, name)
		}
		// Deleting a large fill would keep writers waiting. A rename is one step, whatever the size.
		if err := e.root.Rename(name, trash); err != nil {
			return err
		}
		removeEmpty(e.root, path.Dir(name))
		return nil
	})
	if err != nil {
		return err
	}
	e.removed.objects += found.objects
	e.removed.bytes += found.bytes
	return removeTree(e.ctx, e.root, trash)
}

// locked runs f while no writer can change the name of an object.
func (e *expiry) locked(f func() error) error {
	unlock, err := e.store.lock(e.ctx, e.root)
	if err != nil {
		return err
	}
	defer unlock()
	return f()
}

// errYoung ends a look at a folder that contains an object that has not expired.
var errYoung = errors.New("an object has not expired")

// look returns the size of a file, or of all files below a folder, and whether all of it has expired.
func (e *expiry) look(name string) (found amount, expired bool, err error) {
	err = e.add(name, &found)
	if errors.Is(err, errYoung) {
		return amount{}, false, nil
	}
	return found, err == nil, err
}

func (e *expiry) add(name string, to *amount) error {
	info, err := e.root.Lstat(name)
	switch {
	case err != nil:
		return ignoreGone(err)
	case info.IsDir():
		return each(e.root, name, func(entry fs.DirEntry) error {
			return errors.Join(e.ctx.Err(), e.add(path.Join(name, entry.Name()), to))
		})
	case info.ModTime().After(e.before):
		return errYoung
	}
	to.objects++
	to.bytes += info.Size()
	return nil
}
