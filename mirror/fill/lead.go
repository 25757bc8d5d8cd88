package fill

import (
	"context"
	"crypto/rand"
	"errors"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/mirror/ability"
	"github.com/entrepot-io/entrepot/mirror/fill/failpoint"
	"github.com/entrepot-io/entrepot/mirror/fill/growing"
	"github.com/entrepot-io/entrepot/mirror/fill/landing"
	"github.com/entrepot-io/entrepot/mirror/fill/transfer"
	"github.com/entrepot-io/entrepot/mirror/lease"
)

// leader is one holding of the right to fill a blob.
type leader struct {
	fill     *Fill
	blob     *growing.Blob
	transfer *transfer.Transfer
	landing  *landing.Landing
	keeper   *keeper
	activity *growing.Activity
}

func (f *Fill) newLeader(held *lease.Held[landing.State]) *leader {
	epoch := rand.Text()
	if held != nil {
		epoch = held.Epoch()
	}
	l := &leader{fill: f, blob: f.blob, activity: growing.NewActivity()}
	l.transfer = transfer.New(transfer.Config{
		Blob: f.blob, Source: f.source, Connections: f.fills.Connections, OpenTimeout: f.fills.OpenTimeout,
		Grace: handOver, Until: f.until, Activity: l.activity, Log: f.log, Retried: f.fills.Metrics.retried,
	})
	l.landing = landing.New(landing.Config{
		Blob: f.blob, Store: f.store, Realm: f.fills.Realm, Epoch: epoch, Turns: f.fills.turns,
		Writes: f.writes, Abilities: f.fills.Abilities, Activity: l.activity, Log: f.log,
	})
	l.keeper = &keeper{
		held: held, leases: &f.fills.leases, key: f.leaseKey(), epoch: epoch, blob: f.blob, store: f.store, writes: f.writes,
		activity: l.activity, state: l.state, log: f.log,
		checkpoints: make(chan struct{}, 1), confirms: make(chan chan error),
	}
	return l
}

// state returns the state from which another replica could continue now.
func (l *leader) state() landing.State {
	state := l.landing.State()
	state.Doubts, state.Attempt = transfer.PlacesOf(l.fill.source).Doubted(), l.fill.attempt
	return state
}

// leadAlone fills the blob without a lease.
func (f *Fill) leadAlone(ctx context.Context) error {
	l := f.newLeader(nil)
	return l.finish(ctx, leftOff(ctx, l.run(ctx)))
}

// lead fills the blob, from its first byte or from where the last leader stopped, and gives up the lease.
func (f *Fill) lead(ctx context.Context, held *lease.Held[landing.State]) error {
	l := f.newLeader(held)
	transfer.PlacesOf(f.source).DoubtAlso(held.State().Doubts)
	f.attempt = held.State().Attempt
	failpoint.Reached("lease taken")
	// Since the last look, another replica may have stored the blob and removed its lease.
	if found, err := f.lookUp(ctx); found || err != nil {
		l.turnDown(ctx, found || errors.Is(err, growing.ErrGone))
		return f.giveRest(ctx, err)
	}
	leading, lose := context.WithCancelCause(ctx)
	var keeping sync.WaitGroup
	stop := make(chan struct{})
	keeping.Go(func() { l.keeper.keep(leading, stop, lose) })
	err := l.run(leading)
	close(stop)
	keeping.Wait()
	if cause := context.Cause(leading); err != nil && errors.Is(cause, lease.ErrLost) {
		err = cause
	}
	lose(nil)
	return l.finish(leading, leftOff(ctx, err))
}

// run lands, verifies and stores the whole blob.
func (l *leader) run(ctx context.Context) error {
	f := l.fill
	if err := l.takeOver(ctx); err != nil {
		return err
	}
	l.keeper.adopted.Store(true)
	if l.transfer.IsLate() {
		return ErrHandedOver
	}
	if f.fills.Freezes && f.refusal != nil {
		return f.refusal
	}
	if !l.blob.HasSize() {
		if err := l.transfer.Open(ctx); err != nil {
			return err
		}
	}
	defer l.transfer.Close()
	if f.doubted.Key != "" && f.doubted.Size == l.blob.Size() && f.plausible(f.doubted) && f.markStored(f.doubted) {
		return errLanded // the source says the same
	}
	refusal := f.refusal
	if refusal == nil && l.blob.Segments() > 1 {
		refusal = f.writes.Refusal(ability.Segments)
	}
	if refusal != nil {
		if err := l.blob.PassThrough(refusal); err != nil {
			return err
		}
	}
	l.activity.Progress()
	f.fills.Metrics.begun.Inc()
	ctx, cancel := l.blob.WhileRead(ctx)
	defer cancel(nil)
	err := l.bring(ctx)
	if cause := context.Cause(ctx); err != nil && (errors.Is(cause, growing.ErrUnread) || errors.Is(cause, ErrBadBlob) || errors.Is(cause, growing.ErrGone)) {
		err = cause
	}
	return err
}

// takeOver adopts what the last leader left, if there was one. If the store does not allow that, the blob passes through.
func (l *leader) takeOver(ctx context.Context) error {
	if !l.keeper.isTakeover() {
		return nil
	}
	err := l.adopt(ctx)
	if err != nil && ctx.Err() == nil && (backend.IsUnwritable(err) || errors.Is(err, backend.ErrLate)) {
		err = l.blob.PassThrough(err)
	}
	if err != nil && !l.blob.PassesThrough() {
		return err
	}
	return nil
}

// adopt takes up the last leader's segments and hash, or clears away what cannot be used.
func (l *leader) adopt(ctx context.Context) error {
	held := l.keeper.held
	state := held.State()
	if !state.IsUsable(l.fill.fills.budget) {
		if l.blob.HasSize() {
			return landing.ErrAnew
		}
		return l.landing.ClearAll(ctx, l.keeper.confirm)
	}
	adopted, hashed, err := l.landing.Adopt(ctx, state, held.Before(), l.keeper.confirm)
	if err != nil {
		return err
	}
	l.fill.fills.Metrics.resumed.Inc()
	l.fill.log.Info("fill resumed", "size", l.blob.Size(), "segments", l.blob.Segments(), "stored", adopted, "hashed", hashed, "turn", held.Turn())
	return nil
}

// bring fetches and stores a blob of known size, or lets it pass through.
func (l *leader) bring(ctx context.Context) error {
	var err error
	if l.blob.Segments() == 1 {
		err = l.bringSmall(ctx)
	} else {
		err = l.bringLarge(ctx)
	}
	if errors.Is(err, ErrUnstored) {
		l.blob.Linger(ctx)
		return errPassed
	}
	return err
}

// bringSmall fetches and stores a blob of one segment.
func (l *leader) bringSmall(ctx context.Context) error {
	if err := l.transfer.Run(ctx, nil); err != nil {
		return err
	}
	if !l.blob.Complete() {
		return ErrHandedOver
	}
	writing, cancel := l.unlessLost(ctx)
	defer cancel()
	return l.landing.StoreSmall(ctx, writing)
}

// bringLarge fetches segments over several connections, stores each when it is complete, hashes them in order, and makes
// the store compose the blob of them.
func (l *leader) bringLarge(ctx context.Context) error {
	l.keeper.checkpoint()
	if err := l.land(ctx); err != nil {
		return err
	}
	if err := l.landing.Verify(); err != nil {
		return err
	}
	if l.blob.PassesThrough() {
		return ErrUnstored
	}
	mayCompose := func(ctx context.Context) error {
		// A leader that was paused leaves composing to its successor, whose followers have other segments.
		if err := l.keeper.confirm(ctx); err != nil {
			return err
		}
		if l.fill.fills.Freezes && l.fill.isClosing() {
			return ErrHandedOver // composing may take long, and the next leader will soon do it
		}
		return nil
	}
	return l.landing.Compose(ctx, mayCompose, l.keeper.checkLost)
}

// land fetches, stores and hashes all segments.
func (l *leader) land(ctx context.Context) error {
	// Bytes that are here are stored even if no more may be fetched. No more are fetched if they cannot be stored.
	unlessLost, cancelStores := l.unlessLost(ctx)
	defer cancelStores()
	stores, storing := errgroup.WithContext(unlessLost)
	fetching, cancel := context.WithCancel(ctx)
	defer cancel()
	context.AfterFunc(storing, cancel)

	hashing, stopHashing := context.WithCancel(fetching)
	defer stopHashing()
	hashed := make(chan error, 1)
	go func() {
		err := l.landing.HashAll(hashing)
		if err != nil {
			cancel()
		}
		hashed <- err
	}()
	err := l.transfer.Run(fetching, func(n int, buf []byte) {
		stores.Go(func() error { return l.landing.Keep(storing, n, buf) })
	})
	if err == nil && !l.blob.Complete() {
		err = ErrHandedOver
	}
	if err != nil {
		stopHashing()
	}
	hashErr, storeErr := <-hashed, stores.Wait()
	// If one of the three failed first, the others were canceled.
	for _, cause := range []error{storeErr, err, hashErr} {
		if cause != nil && !errors.Is(cause, context.Canceled) {
			return cause
		}
	}
	if err != nil {
		return err
	}
	return hashErr
}

// unlessLost returns a context for what should complete even if ctx ends, unless the lease is lost: then nobody has any use
// for it.
func (l *leader) unlessLost(ctx context.Context) (context.Context, context.CancelFunc) {
	going, cancel := context.WithCancel(context.WithoutCancel(ctx))
	done := l.fill.store.CancelAfterOver(cancel) // do not wait for a store that hangs
	stop := context.AfterFunc(ctx, func() {
		if errors.Is(context.Cause(ctx), lease.ErrLost) {
			cancel()
		}
	})
	return going, func() { stop(); done() }
}
