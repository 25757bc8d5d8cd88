package fill

import (
	"context"
	"errors"
	"time"

	"github.com/entrepot-io/entrepot/mirror/fill/landing"
)

// anewTimeout limits the wait for the size in a replacement. Its readers have waited for the size once already.
const anewTimeout = 8 * time.Second

// replace starts a fill in place of one that ends with err. It returns nil if another attempt would not help, or there is
// no place for it.
func (f *Fill) replace(err error) *Fill {
	anew := errors.Is(err, landing.ErrAnew) && f.account.HasReaders()
	if !f.rejected && !anew {
		return nil
	}
	return f.fills.beginInPlaceOf(f)
}

// beginInPlaceOf starts a fill in place of old. It returns nil if there is no place for it, or at shutdown.
func (f *Fills) beginInPlaceOf(old *Fill) *Fill {
	account := f.budget.TryOpen(old.source.Link())
	if account == nil {
		return nil
	}
	defer account.Leave()
	f.mu.Lock()
	defer f.mu.Unlock()
	next := f.running[old.Digest]
	if next != nil && next != old { // another caller was faster
		account.Close()
		return next
	}
	if f.closed || old.shift != f.shift {
		account.Close()
		return nil
	}
	next = f.newFill(old.Digest, old.source, account)
	next.until, next.writes = old.until, old.writes.Again()
	f.begin(next)
	return next
}

// Last returns the fill that replaced f, or f.
func (f *Fill) Last() *Fill {
	for next := f.next.Load(); next != nil; next = f.next.Load() {
		f = next
	}
	return f
}

// throughout waits for f, then for the fills that replace it.
func (f *Fill) throughout(ctx context.Context, wait func(*Fill) error) error {
	for {
		err := wait(f)
		next := f.next.Load()
		if err == nil || next == nil || ctx.Err() != nil {
			return err
		}
		if err := next.blob.AwaitSize(ctx); err != nil {
			return err
		}
		f = next
	}
}

// Settled waits until the blob is stored, or verified if it passes through, as long as waits returns true for the fill. It
// returns the fill that brings the blob: f, or a fill that replaced it. Errors are those of Join.
func (f *Fill) Settled(ctx context.Context, waits func(*Fill) bool) (*Fill, error) {
	for {
		if next := f.next.Load(); next != nil {
			opening, cancel := context.WithTimeout(ctx, anewTimeout)
			err := next.blob.AwaitSize(opening)
			cancel()
			if err != nil {
				return nil, err
			}
			f = next
			continue
		}
		if !waits(f) {
			return f, nil
		}
		err := f.blob.Wait(ctx)
		if errors.Is(err, ErrUnstored) {
			err = f.blob.WaitVerified(ctx)
		}
		if err == nil || ctx.Err() != nil || f.next.Load() == nil {
			return f, err
		}
	}
}
