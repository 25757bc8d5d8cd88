package mirror

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/mirror/fill"
)

// presence returns a blob that is known to be in the bucket, from memory. A fill that has stored its blob counts. The
// knowledge of a blob in use is renewed before it expires, and nobody waits for that; if the process may freeze after each
// response, it expires instead.
func (m *Mirror) presence(d digest.Digest) (*Blob, bool) {
	blob, ok := m.presences.GetIfPresent(d)
	if ok && blob.fill != nil {
		blob, ok = m.filled(blob)
	}
	switch {
	case !ok:
	case m.Freezes:
		ok = wallClock().Sub(blob.seen) < m.PresenceTTL // the cache's clock may have stood still
	case time.Since(blob.seen) > m.PresenceTTL*3/4 && blob.renewing.CompareAndSwap(false, true):
		go m.renewPresence(d, blob.Size)
	}
	return blob, ok
}

// filled returns the stored blob of a fill, and false if it is not stored.
func (m *Mirror) filled(blob *Blob) (*Blob, bool) {
	last := blob.fill.Last()
	since, stored := last.StoredSince()
	if !stored {
		return nil, false
	}
	blob = m.newBlob(blob.Digest, last.Size())
	blob.seen = since
	m.presences.Set(blob.Digest, blob)
	return blob, true
}

func (m *Mirror) renewPresence(d digest.Digest, known int64) {
	ctx := context.Background() // no request waits for it
	object, err := m.stat(ctx, d)
	switch {
	case err == nil && object.Size != known:
		// Do not believe it. The knowledge expires unless the store's next response agrees with it.
		m.Log.Warn("size of stored blob not believed", "digest", d.String(), "stored", object.Size, "known", known)
	case err == nil:
		m.remember(d, object.Size)
	case errors.Is(err, backend.ErrNotFound):
		m.presences.Invalidate(d) // somebody has deleted it: the next request fetches it again
	default:
		m.Log.Debug("presence not renewed", "digest", d.String(), "error", err)
	}
}

// lookUp looks for a blob in the bucket, once for all concurrent callers. It returns nil if the blob is not there. If the
// store reports a size that cannot be true, the blob counts as missing: its fill finds out what is wrong.
func (m *Mirror) lookUp(ctx context.Context, d digest.Digest) (*Blob, error) {
	return shared(ctx, m, "presence "+d.String(), func(ctx context.Context) (*Blob, error) {
		object, err := m.stat(ctx, d)
		switch {
		case err == nil && fill.Plausible(d, object.Size, m.sizes.hint(d)):
			return m.remember(d, object.Size), nil
		case err == nil || errors.Is(err, backend.ErrNotFound):
			return nil, nil
		}
		return nil, fmt.Errorf("look for blob %s: %w", d, err)
	})
}

// stat looks for a blob that is in the bucket and stays there. Error: backend.ErrNotFound.
func (m *Mirror) stat(ctx context.Context, d digest.Digest) (backend.Object, error) {
	object, err := m.statBlob(ctx, d)
	if err != nil {
		return object, err
	}
	spared, err := m.spared(ctx, d)
	if err == nil && !spared {
		err = backend.ErrNotFound
	}
	return object, err
}

func (m *Mirror) statBlob(ctx context.Context, d digest.Digest) (object backend.Object, err error) {
	err = backend.InTime(ctx, storeTimeout, func(ctx context.Context) (err error) {
		object, err = m.Store.Stat(ctx, m.realm.Blob(d))
		return err
	})
	return object, err
}

// remember records that a blob is in the bucket.
func (m *Mirror) remember(d digest.Digest, size int64) *Blob {
	blob := m.newBlob(d, size)
	m.presences.Set(d, blob)
	return blob
}

// rememberFill records that a blob is on its way. Once it is stored, presence knows.
func (m *Mirror) rememberFill(d digest.Digest, f *fill.Fill) *Blob {
	blob := m.newBlob(d, f.Size())
	blob.fill = f
	m.presences.Set(d, blob)
	return blob
}

func (m *Mirror) newBlob(d digest.Digest, size int64) *Blob {
	return &Blob{Digest: d, Size: size, mirror: m, key: m.realm.Blob(d), seen: time.Now()}
}

// Forget makes the next request look for a blob in the bucket, since it was deleted.
func (m *Mirror) Forget(d digest.Digest) { m.presences.Invalidate(d) }
