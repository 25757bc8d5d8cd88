package fill

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/mirror/fill/failpoint"
	"github.com/entrepot-io/entrepot/mirror/fill/growing"
	"github.com/entrepot-io/entrepot/mirror/fill/landing"
	"github.com/entrepot-io/entrepot/mirror/fill/patient"
	"github.com/entrepot-io/entrepot/mirror/fill/transfer"
	"github.com/entrepot-io/entrepot/mirror/lease"
)

const (
	// tidyTimeout limits the clean-up after a fill.
	tidyTimeout = 30 * time.Second
	// followersNotice is how long segments stay in the bucket after the lease was given up. By then, replicas that follow
	// find that out, and hash the segments that their readers have bytes of. A lease that could not be removed has expired
	// by then.
	followersNotice = time.Minute
)

// tidying returns a context for the clean-up after a fill. When the fill is handed over it ends soon.
func tidying(ctx context.Context, store *patient.Caller) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tidyTimeout)
	return ctx, store.CancelAfterOver(cancel)
}

// turnDown gives up a lease under which nothing was done, because the blob is stored, or because that is unknown.
func (l *leader) turnDown(ctx context.Context, stored bool) {
	ctx, cancel := tidying(ctx, l.fill.store)
	defer cancel()
	switch {
	case !l.keeper.isTakeover(): // nobody did anything before
	case stored:
		l.leftBehind(l.tidy(ctx)) // the leader that stored it may have died of it
	default:
		l.leftBehind(l.keeper.release(ctx)) // so that another leader continues from the state
		return
	}
	l.keeper.remove(ctx)
}

// finish reports the end of this holding, and leaves the bucket as the next one should find it.
func (l *leader) finish(ctx context.Context, err error) error {
	ctx, cancel := tidying(ctx, l.fill.store)
	defer cancel()
	if errors.Is(err, ErrBadBlob) && l.transfer.Reject(err) {
		l.fill.rejected = true
	}
	if l.blob.PassesThrough() {
		return l.finishUnstored(ctx, err)
	}
	if l.keeper.held != nil {
		l.keeper.setState()
	}
	if err != nil && !errors.Is(err, ErrBadBlob) && l.isOutrun(ctx) {
		err = nil
	}
	var tidied error
	lost, stored := errors.Is(err, lease.ErrLost), false
	switch {
	case lost:
		err, stored = l.stepBack(ctx, err)
	case errors.Is(err, errLanded):
		err = nil
	case err == nil:
		l.fill.markStored(backend.Object{Size: l.blob.Size()})
		l.fill.fills.Metrics.bytes.Add(float64(l.blob.Size()))
		l.fill.log.Info("fill stored", "size", l.blob.Size(), "duration", l.activity.Age().Round(time.Millisecond))
	case l.keeper.isLeased() && errors.Is(err, ErrBadBlob):
		// A client that asks again at once must not follow this attempt, but wait until it is cleared away.
		state := landing.State{}
		if l.fill.rejected {
			state.Doubts, state.Attempt = transfer.PlacesOf(l.fill.source).Doubted(), l.fill.attempt+1
		}
		tidied = l.keeper.writeState(ctx, state)
	}
	// Nobody should wait for the clean-up, which on some stores waits for readers of the segments.
	if l.blob.HasSize() {
		l.fill.end(err)
	}
	switch {
	case lost && stored:
		// Nobody needs what this leader has stored late.
		tidied = l.landing.ClearEpochs(ctx, map[string]bool{l.landing.Epoch: true})
	case lost:
		// The segments belong to the new leader.
	default:
		tidied = l.cleanUp(ctx, err, tidied)
	}
	l.leftBehind(tidied)
	return err
}

// cleanUp gives the lease back after an error from which others can continue, and otherwise removes what is left in the
// bucket. failed is the error of the last write of the lease.
func (l *leader) cleanUp(ctx context.Context, err, failed error) error {
	full := backend.IsUnwritable(err) // where clients get bytes only by way of the store
	if l.keeper.isLeased() && l.keepsState(err) && !full {
		return l.keeper.release(ctx)
	}
	if failed != nil && cannotWrite(failed) {
		return l.removeOwn(ctx)
	}
	failpoint.Reached("before clean-up")
	tidied := failed
	if tidied == nil && l.blob.HasSize() && l.blob.Segments() > 1 {
		tidied = l.tidy(ctx)
	}
	if tidied != nil && l.keeper.held != nil && cannotWrite(tidied) {
		removing, cancel := tidying(ctx, l.fill.store)
		defer cancel()
		tidied = l.removeOwn(removing)
	}
	switch {
	case errors.Is(tidied, lease.ErrLost):
	case l.fill.rejected && tidied == nil && l.keeper.isLeased():
		// With what is known of the source's places.
		if err := l.keeper.release(ctx); err != nil || !l.keeper.isLeased() {
			l.keeper.remove(ctx)
		}
	default:
		l.keeper.remove(ctx)
	}
	return tidied
}

// keepsState reports whether others can continue from what is in the bucket after an error.
func (l *leader) keepsState(err error) bool {
	switch {
	case err == nil || errors.Is(err, ErrBadBlob):
		return false
	case l.blob.HasSize():
		return true
	}
	return l.keeper.isTakeover() && (errors.Is(err, ErrTooLarge) || errors.Is(err, ErrBusy)) // this process alone cannot
}

func (l *leader) leftBehind(err error) {
	if err != nil && !errors.Is(err, lease.ErrLost) {
		l.fill.log.Warn("fill left something behind", "error", err)
	}
}

// stepBack is for a leader whose lease belongs to another. It reports whether that one has stored the blob, and returns nil
// if the stored bytes are those that readers here may have the beginning of.
func (l *leader) stepBack(ctx context.Context, lost error) (err error, stored bool) {
	l.blob.MarkGiven()
	found, lookErr := l.fill.lookUp(ctx)
	stored = found || errors.Is(lookErr, growing.ErrGone)
	l.fill.log.Warn("lease lost", "stored", stored)
	if found {
		return nil, true
	}
	return lost, stored
}

// isOutrun reports whether another replica has stored the blob, which a leader without a lease cannot rule out: that
// replica may have composed this one's segments, and deleted them.
func (l *leader) isOutrun(ctx context.Context) bool {
	if l.keeper.isLeased() || !l.blob.HasSize() {
		return false
	}
	l.blob.MarkGiven()
	found, _ := l.fill.lookUp(ctx)
	return found
}

// tidy deletes all segments and unfinished uploads. Without a lease it deletes only those of this process: others may be
// filling the blob.
func (l *leader) tidy(ctx context.Context) error {
	if !l.keeper.isLeased() {
		return l.tidyAlone(ctx)
	}
	err := l.landing.ClearAll(ctx, l.keeper.confirmAfter)
	if errors.Is(err, errAlone) {
		return l.tidyAlone(ctx)
	}
	sweeper, ok := l.fill.store.Store.(backend.Sweeper)
	if err != nil || !ok || !l.keeper.isTakeover() && !l.landing.Strayed() {
		return err
	}
	// A former leader may have died while it composed the blob, or the store may have been away while this one did. A leader
	// that was paused must not abort its successor's composing.
	if err := l.keeper.confirmAfter(ctx); errors.Is(err, errAlone) {
		return nil
	} else if err != nil {
		return err
	}
	return sweeper.Sweep(ctx, l.blob.Key)
}

// tidyAlone deletes the segments that the blob was composed of, unless another replica has the lease by now and may be
// using them.
func (l *leader) tidyAlone(ctx context.Context) error {
	if l.keeper.held == nil {
		return l.landing.ClearEpochs(ctx, map[string]bool{l.landing.Epoch: true})
	}
	record, exists, err := l.keeper.holder(ctx)
	if err != nil {
		return fmt.Errorf("tidy up without a lease: %w", err)
	}
	if exists && record.Epoch != l.landing.Epoch {
		return nil
	}
	return l.landing.ClearEpochs(ctx, l.landing.Epochs())
}

// removeOwn deletes what this leader has stored or adopted, and its lease, unless they belong to another by now.
func (l *leader) removeOwn(ctx context.Context) error {
	if l.keeper.held == nil {
		return l.landing.ClearEpochs(ctx, map[string]bool{l.landing.Epoch: true})
	}
	record, exists, err := l.keeper.holder(ctx)
	if err != nil {
		return err
	}
	if exists && record.Epoch != l.landing.Epoch && record.Turn > 1 {
		return nil // the new leader may have adopted them
	}
	err = l.landing.ClearEpochs(ctx, l.landing.Epochs())
	return errors.Join(err, l.keeper.held.Abandon(ctx))
}

// finishUnstored is finish for a blob that has passed through: nothing of it stays in the bucket.
func (l *leader) finishUnstored(ctx context.Context, err error) error {
	switch {
	case errors.Is(err, errLanded):
		err = nil
	case err == nil: // it was stored all the same, while the lease was given up
		l.fill.markStored(backend.Object{Size: l.blob.Size()})
	}
	l.fill.end(err)
	wrote := l.landing.Wrote() || l.keeper.held != nil && l.landing.HasStored()
	if !wrote && l.keeper.held == nil {
		return err
	}
	if wrote && l.keeper.held != nil {
		select {
		case <-l.fill.shift.closing:
			l.leftBehind(errSoonClosed)
			return err
		case <-time.After(followersNotice):
		}
	}
	ctx, cancel := tidying(ctx, l.fill.store)
	defer cancel()
	l.leftBehind(l.fill.store.Guard(ctx, tidyTimeout, nil, func(ctx context.Context) (func(), error) {
		return nil, l.removeOwn(ctx)
	}))
	return err
}
