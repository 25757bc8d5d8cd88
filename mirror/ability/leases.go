package ability

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/mirror/lease"
)

const (
	// probeTimeout bounds one probe, which takes several requests.
	probeTimeout = 8 * time.Second
	// The pause after an inconclusive probe grows from minProbePause to maxProbePause. During it callers go on without
	// leases instead of each waiting for another probe.
	minProbePause = time.Second
	maxProbePause = 30 * time.Second
)

// leasesEffect is the consequence of missing conditional writes.
const leasesEffect = "every replica fetches cold content for itself"

// leases records whether the store honors the conditional writes that leases need.
type leases struct {
	status

	probing chan struct{}                 // a lock, full during a probe; guards err, pause and retry
	found   atomic.Pointer[lease.Support] // nil if unknown
	err     error                         // of the last probe, if inconclusive
	pause   time.Duration                 // after the last inconclusive probe
	retry   time.Time                     // when the next probe may start
}

func (l *leases) missing() []Missing { return l.status.missing(conditionalWrites, leasesEffect) }

// Leases returns how the store supports leases; Support.Able is false if it does not. The first call probes the store.
// An error means that the probe was inconclusive: the caller can go on without a lease this once, and a call after a pause
// probes again.
func (a *Abilities) Leases(ctx context.Context) (lease.Support, error) {
	l := &a.leases
	if found := l.found.Load(); found != nil {
		return *found, nil
	}
	select {
	case l.probing <- struct{}{}:
		defer func() { <-l.probing }()
	case <-ctx.Done():
		return lease.Support{}, fmt.Errorf("wait for the store probe: %w", ctx.Err())
	}
	if found := l.found.Load(); found != nil {
		return *found, nil
	}
	if a.Now().Before(l.retry) {
		return lease.Support{}, l.err
	}
	var support lease.Support
	err := backend.InTime(ctx, probeTimeout, func(ctx context.Context) (err error) {
		support, err = lease.Probe(ctx, a.Store, a.Prefix)
		return err
	})
	if err != nil {
		if ctx.Err() == nil {
			l.pause = min(max(2*l.pause, minProbePause), maxProbePause)
			l.err, l.retry = err, a.Now().Add(l.pause)
		}
		return lease.Support{}, err
	}
	a.setLeases(support)
	return support, nil
}

// BreakLeases records that leases do not work although the probe succeeded: the store rejected a condition that held.
// This process uses no leases from then on.
func (a *Abilities) BreakLeases(reason error) {
	a.leases.probing <- struct{}{}
	defer func() { <-a.leases.probing }()
	if found := a.leases.found.Load(); found != nil && !found.Able {
		return
	}
	a.setLeases(lease.Support{Reason: reason.Error()})
}

// IfMatch returns the condition that an object still has the version etag, in the form that the store understands, if
// that form is known.
func (a *Abilities) IfMatch(etag backend.ETag) backend.Condition {
	var support lease.Support
	if found := a.leases.found.Load(); found != nil {
		support = *found
	}
	return support.IfMatch(etag)
}

// setLeases records whether and how the store supports leases. The caller holds leases.probing, or is New.
func (a *Abilities) setLeases(support lease.Support) {
	l := &a.leases
	l.found.Store(&support)
	var reason error
	if !support.Able {
		reason = errors.New(support.Reason)
	}
	l.set(reason, a.Now())
	a.show(conditionalWrites, reason)
	if reason != nil {
		a.Log.Warn("store has no conditional writes", "effect", leasesEffect, "reason", support.Reason)
	}
}
