package fill

import (
	"context"
	"errors"
	"fmt"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot-io/entrepot/backend"
)

// compose makes the blob of its segments, on the store's side where it can. Each is read only as it was hashed: its
// ETag is the condition.
func (l *leader) compose(ctx context.Context) error {
	parts := make([]backend.Object, len(l.segments))
	l.mu.RLock()
	for n := range l.segments {
		parts[n] = l.segments[n].stored
	}
	l.mu.RUnlock()
	o := backend.PutOptions{Metadata: map[string]string{composedOf: composition(parts)}}
	composer, ok := l.fills.Store.(backend.Composer)
	if !ok || l.fills.moves.Load() {
		return l.move(ctx, parts, o)
	}
	_, unable := composer.Compose(ctx, l.key(), parts, o)
	if unable == nil {
		return nil
	}
	if !errors.Is(unable, backend.ErrUnable) {
		return fmt.Errorf("compose the blob of %d segments: %w", len(parts), unable)
	}
	if err := l.move(ctx, parts, o); err != nil {
		return err
	}
	if l.fills.moves.CompareAndSwap(false, true) {
		l.log.Warn("the store cannot copy segments: blobs of more than one pass through this process once more", "error", unable)
	}
	return nil
}

// move reads the segments and sends them to the store as one.
func (l *leader) move(ctx context.Context, parts []backend.Object, o backend.PutOptions) error {
	if l.Digest.Algorithm() == digest.SHA256 {
		o.SHA256 = l.Digest.Encoded()
	}
	through := &partsReader{ctx: ctx, store: l.fills.Store, left: parts}
	defer through.Close()
	if _, err := l.fills.Store.Put(ctx, l.key(), through, l.size, o); err != nil {
		return fmt.Errorf("store the blob from its %d segments: %w", len(parts), err)
	}
	return nil
}
