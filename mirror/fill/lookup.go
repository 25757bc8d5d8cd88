package fill

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/mirror/fill/growing"
	"github.com/entrepot-io/entrepot/mirror/fill/landing"
	"github.com/entrepot-io/entrepot/mirror/fill/transfer"
)

// lookUpTimeout limits a look whether a blob is in the bucket, or who has its lease.
const lookUpTimeout = 4 * time.Second

// lookUp reports whether the blob is in the bucket, and marks it as stored if so. Error: growing.ErrGone, if readers have
// other bytes.
func (f *Fill) lookUp(ctx context.Context) (bool, error) {
	var object backend.Object
	err := f.insist(ctx, lookUpTimeout, func(ctx context.Context) (err error) {
		object, err = f.store.Store.Stat(ctx, f.blob.Key)
		return err
	})
	if errors.Is(err, backend.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look for blob %s: %w", f.Digest, err)
	}
	if !f.plausible(object) {
		if object, err = f.peek(ctx); err != nil || !f.plausible(object) {
			return false, nil
		}
	}
	if !f.markStored(object) {
		return false, growing.ErrGone
	}
	return true, nil
}

// insist calls do, which may take that long. If there may be readers, who cannot go to another replica any more, it retries.
func (f *Fill) insist(ctx context.Context, most time.Duration, do func(context.Context) error) error {
	if !f.blob.HasSize() {
		return backend.InTime(ctx, most, do)
	}
	return f.store.Insist(ctx, func() error { return backend.InTime(ctx, most, do) })
}

// peek requests the blob's first byte, if the store's response to HEAD cannot be true. The response to GET may be.
func (f *Fill) peek(ctx context.Context) (object backend.Object, err error) {
	err = backend.InTime(ctx, lookUpTimeout, func(ctx context.Context) error {
		var body io.ReadCloser
		if body, object, err = f.store.Store.Get(ctx, f.blob.Key, backend.Range{Length: 1}); err != nil {
			return err
		}
		return body.Close()
	})
	return object, err
}

// plausible reports whether what the store says of the blob can be true. It does not believe a size that contradicts the
// known one: then the blob counts as missing.
func (f *Fill) plausible(blob backend.Object) bool {
	known := transfer.Told(f.source)
	if f.blob.HasSize() {
		known = f.blob.Size()
	}
	if Plausible(f.Digest, blob.Size, known) {
		return true
	}
	if f.doubted.Key == "" {
		f.log.Warn("size of stored blob not believed", "stored", blob.Size, "known", known)
		f.doubted, f.doubted.Key = blob, f.blob.Key
	}
	return false
}

// Plausible reports whether a blob can have the size that a store reports. known is its size from another source, 0 if
// unknown.
func Plausible(d digest.Digest, size, known int64) bool {
	empty := d == d.Algorithm().FromString("")
	return size >= 0 && (size == 0) == empty && (known <= 0 || size == known)
}

// markStored marks the blob as stored, unless readers here have other bytes.
func (f *Fill) markStored(blob backend.Object) bool {
	return f.blob.MarkStored(blob.Size, landing.ComposedOf(blob))
}
