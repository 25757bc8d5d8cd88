package upstream

import (
	"maps"
	"net/http"
	"slices"
	"time"
)

// The states of an endpoint.
const (
	StateHealthy     = "healthy"
	StateSlow        = "slow"        // exceeds its budget: other endpoints are tried first
	StateUnavailable = "unavailable" // gets only probes
)

// States returns all states.
func States() []string { return []string{StateHealthy, StateSlow, StateUnavailable} }

// EndpointStatus is the current state of an endpoint.
type EndpointStatus struct {
	URL   string
	State string
	// Until is when held-back requests resume. In StateHealthy these are the requests that count against a pull quota, or
	// those of one kind. Zero: nothing is held back.
	Until  time.Time
	Reason string // for holding requests back; empty if none are
	Quota  *Quota // nil if unknown
}

// Status returns the state of each endpoint, in the order of preference.
func (r *Registry) Status() []EndpointStatus {
	var all []EndpointStatus
	for _, e := range r.endpoints {
		s := e.health.status()
		s.URL = e.base.String()
		if r.offline {
			s.State, s.Reason = StateUnavailable, ErrOffline.Error()
		}
		all = append(all, s)
	}
	return all
}

// Trouble returns nil while at least one endpoint is healthy. Otherwise it returns an *Error that says why clients should be
// served without this upstream if possible.
func (r *Registry) Trouble() error {
	if r.offline {
		return r.offlineError()
	}
	var trouble *Error
	for _, e := range r.endpoints {
		if trouble = e.health.trouble(); trouble == nil {
			return nil
		}
	}
	return trouble
}

// Budget returns how long a request that can be served without this upstream waits for it.
func (r *Registry) Budget() time.Duration { return r.budget }

// TooLate returns the error for a request that exceeded the budget.
func (r *Registry) TooLate() error { return r.endpoints[len(r.endpoints)-1].health.late }

// MayRevalidate reports whether HeadManifest of a tag, or GetManifest in its place, would send a request now.
func (r *Registry) MayRevalidate() bool {
	q := request{method: http.MethodHead, path: "manifests/", optional: true}
	if !r.heads.useful() {
		q.method = http.MethodGet
	}
	return !r.offline && wouldAdmit(r.endpoints, q)
}

// stateGate is a gate and the endpoint's state while it is closed.
type stateGate struct {
	gate  *gate
	state string
}

func (h *health) status() EndpointStatus {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := time.Now()
	s := EndpointStatus{State: StateHealthy, Quota: h.currentQuota(now)}
	gates := []stateGate{{&h.all.gate, StateUnavailable}, {&h.prompt, StateSlow}, {&h.counted, StateHealthy}}
	for _, kind := range slices.Sorted(maps.Keys(h.kinds)) {
		gates = append(gates, stateGate{&h.kinds[kind].gate, StateHealthy})
	}
	for _, g := range gates {
		if g.gate.isClosed() {
			s.State, s.Until, s.Reason = g.state, g.gate.until, g.gate.why.Error()
			break
		}
	}
	return s
}

// trouble returns nil while the endpoint is healthy.
func (h *health) trouble() *Error {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, g := range []*gate{&h.all.gate, &h.prompt} {
		if g.isClosed() {
			return g.refusal(time.Now())
		}
	}
	return nil
}
