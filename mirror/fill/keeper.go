package fill

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/mirror/ability"
	"github.com/entrepot-io/entrepot/mirror/fill/growing"
	"github.com/entrepot-io/entrepot/mirror/fill/landing"
	"github.com/entrepot-io/entrepot/mirror/fill/patient"
	"github.com/entrepot-io/entrepot/mirror/lease"
)

// soon is when a leader writes its state for the first time, unless it asks for that.
const soon = 500 * time.Millisecond

// keeper keeps a leader's lease, with the state of the fill in it. If the store turns out to hold no leases, the leader
// continues as on a store that never could.
type keeper struct {
	held     *lease.Held[landing.State] // nil: the store has no leases
	leases   *lease.Leases[landing.State]
	key      string
	epoch    string // of this holding
	blob     *growing.Blob
	store    *patient.Caller
	writes   *landing.Writes
	activity *growing.Activity
	state    func() landing.State // to be written to the lease
	log      *slog.Logger

	alone       atomic.Bool     // the lease cannot be kept: continue as if there were none
	adopted     atomic.Bool     // what the last leader left was taken up
	checkpoints chan struct{}   // asks for the state to be written now
	confirms    chan chan error // asks whether the lease is still held
}

// isLeased reports whether the leader has a lease that it can keep.
func (k *keeper) isLeased() bool { return k.held != nil && !k.alone.Load() }

// isTakeover reports whether others have led this fill before.
func (k *keeper) isTakeover() bool { return k.held != nil && k.held.Turn() > 1 }

// tolerate returns the error of a call about the lease, unless it says that no lease can be held: then the leader continues
// alone.
func (k *keeper) tolerate(ctx context.Context, err error) error {
	switch {
	case errors.Is(err, lease.ErrBroken):
		k.writes.Abilities.BreakLeases(err)
	case backend.IsUnwritable(err):
		k.writes.Abilities.RecordWrite(ctx, ability.Leases, err)
	default:
		return err
	}
	k.alone.Store(true)
	return nil
}

// setState makes the next write of the lease store the state of the fill. The last leader's state stays until it is
// adopted.
func (k *keeper) setState() {
	if k.adopted.Load() {
		k.held.Set(k.state())
	}
}

// checkpoint asks for the state to be written to the lease now.
func (k *keeper) checkpoint() {
	select {
	case k.checkpoints <- struct{}{}:
	default: // somebody has asked already
	}
}

// keep renews the lease until stop is closed. It calls lose when another replica has the lease, or may have it. If the
// store turns out to hold no leases, keep renews no more, and confirm says yes. If the blob passes through, keep abandons
// the lease and returns.
func (k *keeper) keep(ctx context.Context, stop <-chan struct{}, lose context.CancelCauseFunc) {
	// A write that has begun completes even if the fill ends.
	ctx = context.WithoutCancel(ctx)
	timer := time.NewTimer(soon)
	defer timer.Stop()
	written := time.Now()
	for {
		var asked chan error
		select {
		case <-stop:
			return
		case <-k.blob.Passing():
			k.abandon(ctx)
			return
		case asked = <-k.confirms:
		case <-timer.C:
			if !k.blob.HasSize() && time.Since(written) < lease.Renew {
				timer.Reset(soon) // there is nothing to tell the followers yet
				continue
			}
		case <-k.checkpoints:
		}
		if k.activity.IsStuck() && k.blob.PassThrough(errStuck) == nil {
			continue
		}
		err := k.write(ctx, asked)
		switch {
		case err == nil && asked != nil:
			continue // the lease may have been written, or not
		case err == nil:
			written = time.Now()
			timer.Reset(lease.Renew)
			continue
		case errors.Is(err, lease.ErrLost):
			lose(err)
			return
		}
		k.log.Warn("lease not renewed", "error", err)
		if backend.IsUnwritable(err) || time.Since(written) > patient.Patience {
			k.writes.Report(ctx, ability.Leases, err)
			if k.blob.PassThrough(err) != nil {
				lose(fmt.Errorf("%w: %w", lease.ErrLost, err))
				return
			}
		}
		timer.Reset(soon) // others may be waiting for it to expire
	}
}

// write renews the lease, or confirms it and responds to asked, unless that is nil.
func (k *keeper) write(ctx context.Context, asked chan error) (err error) {
	ctx, cancel := context.WithTimeout(ctx, lease.Renew)
	defer cancel()
	switch {
	case !k.isLeased():
	case asked != nil:
		err = k.tolerate(ctx, k.held.Confirm(ctx))
	default:
		k.setState()
		err = k.tolerate(ctx, k.held.Renew(ctx))
	}
	if asked != nil {
		asked <- err
	}
	return err
}

// confirm makes sure that the lease is still held, while keep runs.
func (k *keeper) confirm(ctx context.Context) error {
	if k.held == nil {
		return nil
	}
	asked := make(chan error, 1)
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-k.blob.Passing():
		return ErrUnstored
	case k.confirms <- asked:
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case err := <-asked:
		return err
	}
}

// confirmAfter makes sure that the lease is still held, after keep has returned. Error: errAlone, from which the leader
// continues as without a lease.
func (k *keeper) confirmAfter(ctx context.Context) error {
	err := k.tolerate(ctx, k.held.Confirm(ctx))
	if err == nil && !k.isLeased() {
		return errAlone
	}
	return err
}

// checkLost returns lease.ErrLost if another replica has taken over the lease, or has taken it over and finished.
func (k *keeper) checkLost(ctx context.Context) error {
	if !k.isLeased() {
		return nil
	}
	record, _, err := k.leases.Get(ctx, k.key)
	if errors.Is(err, backend.ErrNotFound) || err == nil && record.Epoch != k.epoch {
		return lease.ErrLost
	}
	return nil
}

// holder returns the present lease, and false if there is none.
func (k *keeper) holder(ctx context.Context) (record lease.Record[landing.State], exists bool, err error) {
	record, _, err = k.leases.Get(ctx, k.key)
	if errors.Is(err, backend.ErrNotFound) {
		return record, false, nil
	}
	return record, err == nil, err
}

// abandon gives up the lease of a blob that passes through: other replicas should fetch for themselves instead of waiting. A
// full store takes no write, but mostly a delete.
func (k *keeper) abandon(ctx context.Context) {
	ctx, cancel := tidying(ctx, k.store)
	defer cancel()
	err := k.store.Guard(ctx, tidyTimeout, nil, func(ctx context.Context) (func(), error) { return nil, k.held.Abandon(ctx) })
	if err != nil {
		k.log.Warn("lease left behind", "error", err)
	}
}

// release gives the lease back with the state in it.
func (k *keeper) release(ctx context.Context) error { return k.tolerate(ctx, k.held.Release(ctx)) }

// writeState sets another state and writes it at once.
func (k *keeper) writeState(ctx context.Context, state landing.State) error {
	k.held.Set(state)
	ctx, cancel := context.WithTimeout(ctx, lease.Renew)
	defer cancel()
	return k.tolerate(ctx, k.held.Renew(ctx))
}

// remove gives up a lease whose work is done or cannot be done.
func (k *keeper) remove(ctx context.Context) {
	if k.held == nil {
		return
	}
	ctx, cancel := tidying(ctx, k.store)
	defer cancel()
	var err error
	if k.isLeased() {
		removing, stop := context.WithTimeout(ctx, lease.Renew)
		err = k.tolerate(removing, k.held.Remove(removing))
		stop()
	}
	if !k.isLeased() || err != nil && cannotWrite(err) {
		err = k.held.Abandon(ctx)
	}
	if err != nil {
		k.log.Warn("lease left behind", "error", err)
	}
}

// cannotWrite reports whether the lease could not be written though no other replica has it. It can be deleted all the
// same.
func cannotWrite(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || backend.IsUnwritable(err) || patient.Passing(err)
}
