package mirror

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/mirror/ability"
	"github.com/entrepot-io/entrepot/mirror/lease"
)

// leases lets replicas agree on which of them does a small piece of work, such as a request to an upstream.
type leases struct {
	abilities  *ability.Abilities
	locks      lease.Leases[struct{}]
	log        *slog.Logger
	conditions atomic.Bool // the store is known to honor conditions
	// late is when a lease could last not be written in time, nil after one was written. One response may need several
	// leases, and cannot wait for each of them.
	late atomic.Pointer[time.Time]
}

// afterLate is how long no lease is tried after one could not be written in time.
const afterLate = 5 * time.Second

// A replica looks for the result of another's work after shortPause, and less and less often up to longPause.
const (
	shortPause = 100 * time.Millisecond
	longPause  = time.Second
	// lastLook is how long before its deadline a replica looks for the last time.
	lastLook = 300 * time.Millisecond
)

// errNoLease means that the lease cannot be written, now or ever, and that no other replica is known to hold it.
var errNoLease = errors.New("the lease cannot be written")

// turns lets a caller take turns with other replicas at work of which all want the result. At each turn the caller looks
// for the result. If there is none and the turn is its own, it does the work. If the replica that does the work fails,
// another one gets its turn.
//
//	turns := l.turns(key)
//	defer turns.end(ctx)
//	for {
//		turn, err := turns.next(ctx)
//		// look for the result; do the work if turn.own
//	}
//
// Without leases, or while they cannot be written, the first turn is the caller's own: every replica does the work.
type turns struct {
	leases *leases
	key    string
	pause  time.Duration // before the next turn
	held   *lease.Held[struct{}]
	stop   func() // stops the renewal of held
}

// turn is one turn of a caller.
type turn struct {
	own        bool // the caller may do the work
	conditions bool // the store is known to honor conditions
}

// turns returns the turns at the work that the lease at key protects.
func (l *leases) turns(key string) *turns { return &turns{leases: l, key: key} }

// next returns the next turn, after a pause unless it is the first. The lease of the caller's own turn is renewed until end.
// Do not call next after an own turn. Error: that of ctx.
func (t *turns) next(ctx context.Context) (turn, error) {
	if t.pause > 0 {
		if err := wait(ctx, t.pause); err != nil {
			return turn{}, err
		}
	}
	t.pause = min(max(t.pause*3/2, shortPause), longPause)
	held, err := t.leases.take(ctx, t.key)
	switch {
	case errors.Is(err, errNoLease):
		return turn{own: true, conditions: t.leases.conditions.Load()}, nil
	case err != nil, held == nil:
		return turn{}, err
	}
	t.held, t.stop = held, t.leases.keep(ctx, held)
	return turn{own: true, conditions: true}, nil
}

// end gives the lease back if the caller holds it.
func (t *turns) end(ctx context.Context) {
	if t.held != nil {
		t.stop()
		t.leases.remove(ctx, t.held)
	}
}

// wait waits for pause, or less if the deadline is near.
func wait(ctx context.Context, pause time.Duration) error {
	if deadline, ok := ctx.Deadline(); ok {
		if left := time.Until(deadline) - lastLook; left > 0 {
			pause = min(pause, left)
		}
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(pause):
		return nil
	}
}

// take takes a lease. Without an error, held is nil if another replica holds it. Errors: errNoLease, that of ctx.
func (l *leases) take(ctx context.Context, key string) (held *lease.Held[struct{}], err error) {
	if err := l.abilities.Writable(ability.Leases); err != nil {
		return nil, l.heldByNobody(ctx, key, err)
	}
	if late := l.late.Load(); late != nil && time.Since(*late) < afterLate {
		return nil, l.heldByNobody(ctx, key, backend.ErrLate)
	}
	support, err := l.abilities.Leases(ctx)
	if err == nil {
		l.conditions.Store(support.Able)
		if !support.Able {
			return nil, errNoLease
		}
		held, err = l.acquire(ctx, key)
	}
	if err == nil && held == nil {
		return nil, nil
	}
	if errors.Is(err, lease.ErrBroken) {
		l.abilities.BreakLeases(err)
		l.conditions.Store(false)
		return nil, errNoLease
	}
	reportWrite(ctx, l.abilities, ability.Leases, err)
	if err == nil {
		l.late.Store(nil)
		return held, nil
	}
	if errors.Is(err, backend.ErrLate) {
		now := time.Now()
		l.late.Store(&now)
	}
	if ctx.Err() != nil {
		return nil, err
	}
	l.log.Warn("lease not taken", "key", key, "error", err)
	return nil, l.heldByNobody(ctx, key, err)
}

// acquire tries a second time if the store fails but can be read: it may have restarted.
func (l *leases) acquire(ctx context.Context, key string) (held *lease.Held[struct{}], err error) {
	for tries := 1; ; tries++ {
		err = backend.InTime(ctx, acquireTimeout, func(ctx context.Context) (err error) {
			held, _, err = l.locks.Acquire(ctx, key)
			return err
		})
		if tries == 2 || !backend.Transient(err) || errors.Is(err, backend.ErrLate) || !l.abilities.Readable(ctx) {
			return held, err
		}
	}
}

// heldByNobody returns errNoLease unless another replica holds the lease, which this process cannot write. It ignores errors
// of the read: the caller's look for the result fails as well then.
func (l *leases) heldByNobody(ctx context.Context, key string, why error) error {
	free := true
	err := backend.InTime(ctx, storeTimeout, func(ctx context.Context) (err error) {
		_, free, err = l.locks.Get(ctx, key)
		return err
	})
	if err == nil && !free {
		return nil
	}
	return fmt.Errorf("%w: %w", errNoLease, why)
}

// keep renews a lease until stop is called, since work may take longer than a lease lasts. The work continues if the lease is
// lost: its result still serves its own caller.
func (l *leases) keep(ctx context.Context, held *lease.Held[struct{}]) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var renewing sync.WaitGroup
	renewing.Go(func() {
		next := lease.Renew
		for {
			select {
			case <-ctx.Done():
				return
			case <-time.After(next):
			}
			err := backend.InTime(ctx, storeTimeout, held.Renew)
			switch {
			case err == nil:
				next = lease.Renew
			case errors.Is(err, lease.ErrLost), ctx.Err() != nil:
				return
			case errors.Is(err, lease.ErrBroken):
				l.abilities.BreakLeases(err)
				return
			default:
				l.log.Warn("lease not renewed", "error", err)
				next = longPause
			}
		}
	})
	return func() {
		cancel()
		renewing.Wait()
	}
}

// remove gives a lease back, even after ctx has ended. If it fails, the lease expires.
func (l *leases) remove(ctx context.Context, held *lease.Held[struct{}]) {
	most := storeTimeout
	if deadline, ok := ctx.Deadline(); ok {
		most = max(min(most, time.Until(deadline)), lastLook) // a client waits
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), most)
	defer cancel()
	err := held.Remove(ctx)
	if errors.Is(err, lease.ErrBroken) {
		l.abilities.BreakLeases(err)
		err = held.Abandon(ctx)
	}
	if err != nil {
		l.log.Warn("lease left behind", "error", err)
	}
}
