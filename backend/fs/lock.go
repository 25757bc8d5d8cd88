package fs

import (
	"context"
	"os"
	"time"
)

// lock acquires the right to change which name has which object, among all processes that share the folder. All writers
// hold it, so that nothing comes between a condition and its write, nor between the creation of a folder and its first
// object. It is held for a few system calls on names, never while bytes are copied.
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
