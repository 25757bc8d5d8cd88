package landing

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/mirror/fill/failpoint"
	"github.com/entrepot-io/entrepot/mirror/fill/growing"
)

const (
	// composeBase and composeSpeed limit the time for composing a blob, which reports no progress.
	composeBase  = time.Minute
	composeSpeed = 1 << 20 // bytes a second
)

// Compose makes the blob of its segments, which are all stored and verified. Before each try it calls may, whose error ends
// it. If segments are missing it returns the error of lost, unless that is nil. Error: growing.ErrUnstored, if the blob
// passes through.
func (l *Landing) Compose(ctx context.Context, may, lost func(context.Context) error) error {
	err := l.Store.Insist(ctx, func() error {
		if l.Blob.PassesThrough() {
			return growing.ErrUnstored
		}
		if err := may(ctx); err != nil {
			return err
		}
		failpoint.Reached("before compose")
		// To its end, whatever becomes of the lease: an interrupted composition leaves an upload.
		composing, cancel := context.WithCancel(context.WithoutCancel(ctx))
		defer l.Store.CancelAfterOver(cancel)()
		defer l.Activity.Waits()()
		most := composeBase + time.Duration(l.Blob.Size()/composeSpeed)*time.Second
		err := l.Store.Guard(composing, most, nil, func(ctx context.Context) (func(), error) { return nil, l.composeOrMove(ctx) })
		l.strayed = l.strayed || err != nil
		return err
	})
	if errors.Is(err, backend.ErrNotFound) || errors.Is(err, backend.ErrPrecondition) {
		// A successor removes the segments of a leader that was paused. The store has not failed then.
		err = cmp.Or(lost(ctx), err)
	}
	return l.conclude(ctx, err)
}

// composeOrMove makes the blob of its segments, on the store's side if it can. Each must be in the version that was hashed: its
// ETag is the condition.
func (l *Landing) composeOrMove(ctx context.Context) error {
	parts := l.Blob.Objects()
	o := backend.PutOptions{Metadata: map[string]string{composedOf: composition(parts)}}
	composer, ok := l.Store.Store.(backend.Composer)
	if !ok || !l.Abilities.Copies() {
		return l.move(ctx, parts, o)
	}
	_, unable := composer.Compose(ctx, l.Blob.Key, parts, o)
	if unable == nil {
		l.Abilities.RecordCopy(nil)
		return nil
	}
	if !errors.Is(unable, backend.ErrUnable) {
		return fmt.Errorf("compose the blob of %d segments: %w", len(parts), unable)
	}
	if err := l.move(ctx, parts, o); err != nil {
		return err
	}
	l.Abilities.RecordCopy(unable)
	return nil
}

// move reads the segments and sends them to the store as one object.
func (l *Landing) move(ctx context.Context, parts []backend.Object, o backend.PutOptions) error {
	through := &partsReader{ctx: ctx, store: l.Store.Store, left: parts}
	defer through.Close()
	if _, err := l.Store.Store.Put(ctx, l.Blob.Key, through, l.Blob.Size(), l.checksum(o)); err != nil {
		return fmt.Errorf("store the blob from its %d segments: %w", len(parts), err)
	}
	return nil
}
