package mirror

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/mirror/layout"
)

const (
	// deletingPause is how often a replica looks whether a blob's deletion has ended, which takes three requests.
	deletingPause = 100 * time.Millisecond
	// deletingAbandoned is the age after which a collector no longer deletes: see collect.
	deletingAbandoned = time.Minute
)

// errDeleting means that a blob cannot be used now. The next request fetches it again.
var errDeleting = errors.New("the blob is being deleted")

// spared reports whether a blob that was seen in the bucket stays there for as long as its presence is relied on. If the
// garbage collector has marked it, spared says that it is in use. Of the two marks, Used and Deleting, each side writes its
// own before it looks for the other's, so at least one of them notices. Error: errDeleting.
func (m *Mirror) spared(ctx context.Context, d digest.Digest) (bool, error) {
	_, marked, err := m.statMark(ctx, d, layout.Tombstone)
	if err != nil || !marked {
		return err == nil, err
	}
	err = backend.InTime(ctx, storeTimeout, func(ctx context.Context) error {
		return touch(ctx, m.Store, m.realm.Mark(layout.Blobs, d, layout.Used))
	})
	if err != nil {
		m.Log.Debug("use of a marked blob not recorded", "digest", d.String(), "error", err)
	}
	for {
		mark, deleting, err := m.statMark(ctx, d, layout.Deleting)
		switch {
		case err != nil:
			return false, err
		case !deleting:
			_, err := m.statBlob(ctx, d)
			return !errors.Is(err, backend.ErrNotFound), ignoreNotFound(err)
		case !mark.AsOf.IsZero() && mark.AsOf.Sub(mark.Modified) > deletingAbandoned:
			return true, backend.InTime(ctx, storeTimeout, func(ctx context.Context) error {
				return m.Store.Delete(ctx, mark.Key)
			})
		}
		if wait(ctx, deletingPause) != nil {
			return false, errDeleting
		}
	}
}

// statMark looks for a mark of a blob.
func (m *Mirror) statMark(ctx context.Context, d digest.Digest, mark layout.Mark) (object backend.Object, found bool, err error) {
	err = backend.InTime(ctx, storeTimeout, func(ctx context.Context) (err error) {
		object, err = m.Store.Stat(ctx, m.realm.Mark(layout.Blobs, d, mark))
		return err
	})
	if err == nil {
		return object, true, nil
	}
	if errors.Is(err, backend.ErrNotFound) || errors.Is(err, backend.ErrDenied) {
		return object, false, nil
	}
	return object, false, fmt.Errorf("look for the tombstone of blob %s: %w", d, err)
}

func ignoreNotFound(err error) error {
	if errors.Is(err, backend.ErrNotFound) {
		return nil
	}
	return err
}
