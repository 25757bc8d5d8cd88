package lease

import (
	"errors"
	"sync"
	"time"

	"github.com/entrepot-io/entrepot/backend"
)

const (
	// minAway is how long a store must be unreachable until a holder can lose its lease by that: the last renewal may be Renew
	// old, and TTL can appear a second shorter.
	minAway = TTL - Renew - time.Second
	// renewGrace is how long afterwards nobody takes over expired leases, since their holders are about to renew them.
	renewGrace = 3 * time.Second
)

// reach tracks whether this process can reach the store. If it could not for minAway, other replicas probably could not
// either. Then leases have expired whose holders are still at work.
//
// A single failed call proves little, since its key or its connection may be the cause. So the store counts as away only if
// no call got a response for minAway.
type reach struct {
	mu        sync.Mutex
	responded *instant // last response; nil: none
	away      *instant // last failure after minAway without a response; nil: none
}

// recordResult records the error of a call, which may be nil.
func (r *reach) recordResult(err error, now instant) {
	responded := err == nil || errors.Is(err, backend.ErrPrecondition) || errors.Is(err, backend.ErrNotFound)
	if !responded && !backend.Transient(err) {
		return // the caller gave up, or the store refused the call
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case responded:
		r.responded = &now
	case r.responded == nil || now.since(*r.responded) >= minAway:
		r.away = &now
	}
}

// wasAway reports whether the store was away within the last renewGrace.
func (r *reach) wasAway(now instant) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.away != nil && now.since(*r.away) < renewGrace
}
