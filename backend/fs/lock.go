package fs

import (
	"context"
	"os"
	"time"
)

// lock acquires the right to change the names of objects, among all processes that share the folder. All writers hold it, so
// that no other write happens between a condition and its write, or between the creation of a folder and that of its first
// object. They hold it for a few system calls on names, never while they copy bytes.
func (s *Store) lock(ctx context.Context, root *os.Root) (unlock func(), err error) {
	select {
	case s.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() {
		if err != nil {
			<-s.turn
		}
	}()
	f, err := root.OpenFile(lockFile, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	// A blocking lock cannot be cancelled, so poll.
	for wait := 100 * time.Microsecond; ; wait = min(2*wait, 10*time.Millisecond) {
		locked, err := tryLock(f)
		if locked {
			return func() { f.Close(); <-s.turn }, nil
		}
		if err != nil {
			f.Close()
			return nil, err
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			f.Close()
			return nil, ctx.Err()
		}
	}
}
