package fill

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/mirror/ability"
	"github.com/entrepot-io/entrepot/mirror/fill/growing"
	"github.com/entrepot-io/entrepot/mirror/fill/landing"
	"github.com/entrepot-io/entrepot/mirror/fill/patient"
	"github.com/entrepot-io/entrepot/mirror/lease"
)

const (
	// acquireTimeout limits the requests that take the blob's lease, so that a waiting client gets an error while it can
	// still ask another replica.
	acquireTimeout = 8 * time.Second
	// acquireTries is how often a fill that may have readers tries to take the lease. If it cannot be had, they should not
	// wait for long: what the last leader has stored may be deleted.
	acquireTries = 3
)

// settle leads the fill, or follows the leader, until the blob is in the bucket or cannot be brought there. Callers of Join
// have just looked for the blob, so the first look is that of a leader.
func (f *Fill) settle(ctx context.Context) error {
	var record lease.Record[landing.State] // of the leader
	insists := true                        // on a lease
	for looked := true; ; looked = false {
		if !looked {
			if found, err := f.lookUp(ctx); found || err != nil {
				return f.giveRest(ctx, err)
			}
		}
		held, next, err := f.acquire(ctx)
		if _, bad := f.fills.distrusted.GetIfPresent(next.Epoch); bad && held == nil && err == nil {
			err = errNoLease
		}
		switch {
		case errors.Is(err, errNoLease) && insists && f.blob.HasSize() && record.Epoch != "":
			// Readers have the beginning of what another replica stores. It may continue without a lease.
			insists = false
			err = f.follow(ctx, record, patient.Patience)
		case errors.Is(err, errNoLease):
			if looked { // no lease keeps others from storing it since
				if found, err := f.lookUp(ctx); found || err != nil {
					return err
				}
			}
			err = f.leadAlone(ctx)
			if errors.Is(err, ErrBadBlob) && record.Epoch != "" {
				f.fills.distrusted.Set(record.Epoch, struct{}{})
			}
			return err
		case err != nil:
			return err
		case held != nil:
			return f.lead(ctx, held)
		default:
			record = next
			err = f.follow(ctx, record, 0)
		}
		if !errors.Is(err, errAgain) {
			return f.giveRest(ctx, err)
		}
	}
}

// giveRest is for the end of what this replica followed. If readers here have the beginning of the blob and cannot have the
// rest from the bucket, they get it from the source. The hash will show whether those bytes are right.
func (f *Fill) giveRest(ctx context.Context, err error) error {
	if !errors.Is(err, growing.ErrGone) || !f.blob.HasSize() || f.blob.PassThrough(err) != nil {
		return err
	}
	return f.leadAlone(ctx)
}

// acquire takes the lease if it is free. If another replica has it, held is nil and record is the other's. Error:
// errNoLease.
func (f *Fill) acquire(ctx context.Context) (held *lease.Held[landing.State], record lease.Record[landing.State], err error) {
	if f.refusal = f.writes.Refusal(ability.Blobs); f.refusal != nil {
		return f.whoseLease(ctx, f.refusal)
	}
	leases, err := f.fills.Abilities.Leases(ctx)
	if err == nil && !leases.Able {
		return nil, record, errNoLease
	}
	if err == nil {
		err = f.fills.Abilities.Writable(ability.Leases)
	}
	if err != nil {
		return f.whoseLease(ctx, err)
	}
	for tries, pause := 1, patient.FirstPause; ; tries, pause = tries+1, 2*pause {
		last := 2 // a second try helps if the store can be read
		if f.blob.HasSize() {
			last = acquireTries
		}
		err = backend.InTime(ctx, acquireTimeout, func(ctx context.Context) error {
			held, record, err = f.fills.leases.Acquire(ctx, f.leaseKey())
			return err
		})
		if err == nil || tries >= last || !patient.Passing(err) || errors.Is(err, backend.ErrLate) {
			break
		}
		if !f.blob.HasSize() && !f.fills.Abilities.Readable(ctx) {
			break // clients should learn soon that the store is away
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
	switch {
	case err == nil && held != nil:
		f.writes.Report(ctx, ability.Leases, nil)
		return held, record, nil
	case err == nil || ctx.Err() != nil:
		return nil, record, err
	}
	f.writes.Report(ctx, ability.Leases, err)
	return f.whoseLease(ctx, fmt.Errorf("take the lease: %w", err))
}

// whoseLease is for a process that cannot take the lease: another replica may have it, and can be followed. Errors:
// errNoLease, and the reason if the lease cannot be read either.
func (f *Fill) whoseLease(ctx context.Context, reason error) (held *lease.Held[landing.State], record lease.Record[landing.State], err error) {
	record, free, err := f.lookAtLease(ctx, lookUpTimeout)
	switch {
	case ctx.Err() != nil:
		return nil, record, ctx.Err()
	case err == nil && !free:
		return nil, record, nil
	case err == nil || errors.Is(err, backend.ErrNotFound):
		f.log.Warn("blob fetched without a lease", "error", reason)
		return nil, record, errNoLease
	}
	return nil, record, reason
}

func (f *Fill) leaseKey() string { return f.fills.Realm.FillLease(f.Digest) }
