package growing

import (
	"context"
	"fmt"
)

// Wait waits until the blob is stored (nil), or returns why it will not be: ErrUnstored if it passes through and can be read
// all the same. The caller counts as a reader.
func (b *Blob) Wait(ctx context.Context) error {
	return b.waitFor(ctx, func() (bool, error) {
		if b.unstored != nil && b.err == nil && !b.stored {
			return true, fmt.Errorf("%w: %w", ErrUnstored, b.unstored)
		}
		return b.stored, b.err
	})
}

// WaitVerified waits until the bytes are known to be right (nil), or returns why the fill failed. The caller counts as a
// reader.
func (b *Blob) WaitVerified(ctx context.Context) error {
	return b.waitFor(ctx, func() (bool, error) { return b.stored || b.verified, b.err })
}

// waitFor waits until reached, which is called with the lock held, returns true or an error.
func (b *Blob) waitFor(ctx context.Context, reached func() (bool, error)) error {
	if b.Account.Enter() {
		defer b.Account.Leave()
	}
	for {
		b.mu.RLock()
		is, err := reached()
		changed := b.changed
		b.mu.RUnlock()
		if is || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		}
	}
}
