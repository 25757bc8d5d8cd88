package fill

import (
	"context"
	"errors"
	"time"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/mirror/fill/landing"
	"github.com/entrepot-io/entrepot/mirror/lease"
)

const (
	// A follower looks for new segments after shortLook while there are some, and up to longLook while there are none.
	shortLook = 150 * time.Millisecond
	longLook  = time.Second
	// leaseLook is how often a follower looks at the lease.
	leaseLook = time.Second
	// followTimeout limits a look at what another replica stores.
	followTimeout = 10 * time.Second
)

// follow gives the readers here the segments that another replica stores, until the blob is in the bucket (nil), or nobody
// fills it any more (errAgain). A leader whose lease has expired is followed until it has made no progress for idle.
func (f *Fill) follow(ctx context.Context, record lease.Record[landing.State], idle time.Duration) error {
	look := shortLook
	seen, progress := time.Now(), time.Now()
	for {
		if !f.blob.HasSize() && record.State.IsUsable(f.fills.budget) {
			if err := f.blob.SetSize(ctx, record.State.Size, record.State.SegmentSize); err != nil {
				return err
			}
			f.attempt = record.State.Attempt
		}
		landed := false
		err := f.insist(ctx, followTimeout, func(ctx context.Context) (err error) {
			landed, err = landing.Discover(ctx, f.store.Store, f.fills.Realm.Fill(f.Digest), f.blob, record.State, record.Epoch)
			return err
		})
		if err != nil {
			return err
		}
		look = min(look*3/2, longLook)
		if landed || !f.blob.HasSize() {
			look = shortLook
		}
		if landed {
			progress = time.Now()
		}
		if f.blob.AllStored() {
			if found, err := f.lookUp(ctx); found || err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-f.closing:
			return ErrHandedOver
		case <-time.After(look):
		}
		if f.blob.HasSize() && time.Since(seen) < leaseLook {
			continue
		}
		seen = time.Now()
		next, free, err := f.lookAtLease(ctx, followTimeout)
		switch {
		case errors.Is(err, backend.ErrNotFound):
			return f.leaseGone(ctx)
		case err != nil:
			return err
		case free && idle == 0, free && time.Since(progress) > idle:
			return errAgain
		case f.blob.HasSize() && next.Turn <= record.Turn && next.Epoch != record.Epoch:
			// A lease that was removed and created again is another attempt, perhaps with other bytes.
			return f.leaseGone(ctx)
		case f.blob.HasSize() && next.State.Attempt > f.attempt:
			return landing.ErrAnew
		}
		record = next
	}
}

// lookAtLease returns the blob's lease, and reports whether it is free.
func (f *Fill) lookAtLease(ctx context.Context, most time.Duration) (record lease.Record[landing.State], free bool, err error) {
	err = f.insist(ctx, most, func(ctx context.Context) (err error) {
		record, free, err = f.fills.leases.Get(ctx, f.leaseKey())
		return err
	})
	return record, free, err
}

// leaseGone finds out what became of a fill whose lease is gone.
func (f *Fill) leaseGone(ctx context.Context) error {
	found, err := f.lookUp(ctx)
	switch {
	case found || err != nil:
		return err
	case f.blob.HasSize() && f.doubted.Key != "":
		return landing.ErrAnew // what is in the bucket may be of another attempt, which had another size
	case f.blob.HasSize():
		return errLeft
	}
	return errAgain
}
