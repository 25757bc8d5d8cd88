package growing

import (
	"context"
	"time"
)

// A blob that cannot be stored passes through: its bytes go from the source to the readers by way of the memory that fills
// share. All readers of this process still share one transfer, which stays a little ahead of the first of them. Readers
// that are behind refetch, each for itself, what others needed the memory for.

// PassThrough stops storing the blob: its rest passes through. Only the first call counts. If clients get bytes only by way
// of the store, it does nothing but return the reason.
func (b *Blob) PassThrough(reason error) error {
	if b.MustStore {
		return reason
	}
	first := false
	b.update(func() {
		if b.unstored == nil {
			b.unstored, first = reason, true
			b.readers.last = time.Now()
			b.readers.left = b.readers.last
		}
	})
	if first {
		b.Account.Budget().AddPassing(1)
		b.Unstored.Inc()
		b.Log.Warn("blob passed through", "error", reason)
		close(b.passing)
	}
	if b.HasSize() {
		for n := range b.segments {
			b.Retire(n)
		}
	}
	return nil
}

// Passing returns a channel that is closed when the blob begins to pass through.
func (b *Blob) Passing() <-chan struct{} { return b.passing }

// PassesThrough reports whether the blob passes through.
func (b *Blob) PassesThrough() bool {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.unstored != nil
}

// isDue reports whether segment n should be fetched by now. The caller holds the lock.
func (b *Blob) isDue(n int) bool {
	if b.unstored == nil || n < b.readers.furthest+b.Account.Budget().Window(b.segSize) {
		return true
	}
	// No reader reaches the last bytes before all of them are here.
	return n == b.readers.furthest+1 && b.Start(n) >= b.size-holdBack
}

// AwaitReaders waits until segment n is due, the fill is closing, or waiting ends: then it returns ErrBehind.
func (b *Blob) AwaitReaders(ctx, waiting context.Context, n int) error {
	for {
		b.mu.RLock()
		due, changed := b.isDue(n), b.changed
		b.mu.RUnlock()
		if due || b.isClosing() {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-waiting.Done():
			return ErrBehind
		case <-b.Closing:
		case <-changed:
		}
	}
}

// WhileRead returns a context for the transfer of the blob. If the blob passes through, the context ends with a cause when
// nobody reads it (ErrUnread), or when the source has sent different bytes at different times.
func (b *Blob) WhileRead(ctx context.Context) (context.Context, context.CancelCauseFunc) {
	reading, cancel := context.WithCancelCause(ctx)
	go func() {
		for {
			b.mu.RLock()
			changed, differs := b.changed, b.differs
			b.mu.RUnlock()
			unread := b.unread()
			if differs != nil {
				cancel(differs)
				return
			}
			if unread >= throughGrace {
				cancel(ErrUnread)
				return
			}
			var look <-chan time.Time
			if unread > 0 {
				look = time.After(throughGrace - unread)
			}
			select {
			case <-reading.Done():
				return
			case <-changed:
			case <-look:
			}
		}
	}()
	return reading, cancel
}

// Linger keeps a blob that has passed through for a while, for readers that have not reached its end.
func (b *Blob) Linger(ctx context.Context) {
	late, unopened := time.After(lingering), time.After(throughGrace)
	for {
		b.mu.RLock()
		came, reading, changed := b.readers.came, len(b.readers.at) > 0, b.changed
		b.mu.RUnlock()
		if came && !reading {
			return
		}
		select {
		case <-unopened:
			if !came {
				return
			}
		case <-changed:
		case <-late:
			return
		case <-b.Closing:
			return
		case <-ctx.Done():
			return
		}
	}
}

// Differ ends a fill whose bytes cannot be fetched again as they were, unless they are verified: nobody knows which of
// them are right.
func (b *Blob) Differ(err error) error {
	b.update(func() {
		if !b.verified {
			b.differs = err
		}
	})
	return err
}
