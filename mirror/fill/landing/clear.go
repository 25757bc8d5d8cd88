package landing

import (
	"context"
	"fmt"

	"golang.org/x/sync/errgroup"

	"github.com/entrepot-io/entrepot/backend"
)

// ClearAll deletes all segments of the blob. Before each delete it calls may, whose error ends it.
func (l *Landing) ClearAll(ctx context.Context, may func(context.Context) error) error {
	return l.clear(ctx, func(backend.Object) bool { return false }, may)
}

// ClearEpochs deletes the segments of some epochs.
func (l *Landing) ClearEpochs(ctx context.Context, epochs map[string]bool) error {
	return l.clear(ctx, func(o backend.Object) bool { return !epochs[epochOf(o)] }, func(context.Context) error { return nil })
}

// clear deletes what is left of the blob's fills, except the lease and what keep wants. It calls may between finding and
// deleting: a leader that was paused may have found what belongs to another by now.
func (l *Landing) clear(ctx context.Context, keep func(backend.Object) bool, may func(context.Context) error) error {
	lease := l.Realm.FillLease(l.Blob.Digest)
	var found []string
	for object, err := range l.Store.Store.List(ctx, l.Realm.Fill(l.Blob.Digest), "") {
		if err != nil {
			return listError(err)
		}
		if object.Key != lease && !keep(object) {
			found = append(found, object.Key)
		}
	}
	if len(found) == 0 {
		return nil
	}
	deletes, deleting := errgroup.WithContext(ctx)
	deletes.SetLimit(8)
	var refused error
	for _, key := range found {
		// Before each, since there may be thousands of them. It costs a request every lease.Renew.
		if refused = may(ctx); refused != nil {
			break
		}
		deletes.Go(func() error { return l.Store.Store.Delete(deleting, key) })
	}
	if err := deletes.Wait(); err != nil && refused == nil {
		return fmt.Errorf("delete segments: %w", err)
	}
	return refused
}

func listError(err error) error { return fmt.Errorf("list the segments: %w", err) }

// Epochs returns the epochs of the segments that the blob has, and that of this landing.
func (l *Landing) Epochs() map[string]bool {
	epochs := map[string]bool{l.Epoch: true}
	for _, o := range l.Blob.Objects() {
		epochs[epochOf(o)] = true
	}
	return epochs
}

// HasStored reports whether a segment of the blob is in the bucket.
func (l *Landing) HasStored() bool {
	for _, o := range l.Blob.Objects() {
		if o.Key != "" {
			return true
		}
	}
	return false
}
