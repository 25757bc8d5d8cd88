package upstream

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// maxFailures is the number of failures in a row that close a breaker's gate.
const maxFailures = 5

// breaker is a gate that repeated failures close.
type breaker struct {
	gate
	failures int // in a row
}

func (b *breaker) succeeded(a *attempt) {
	b.failures = 0
	b.gate.succeeded(a)
}

func (b *breaker) failed(a *attempt, now time.Time, why *Error) {
	if b.failures++; b.failures >= maxFailures || b.probe == a {
		b.gate.failed(a, now, shortestPause, why)
	}
}

// health decides which requests an endpoint gets. Only the endpoint's own responses count, not those of the storage that it
// redirects to. An endpoint is unavailable while the gate for all requests is closed, slow while only the gate for prompt
// requests is closed, and otherwise healthy.
type health struct {
	budget time.Duration // for a response
	late   *Error        // for a response that exceeds the budget

	mu      sync.Mutex
	all     breaker             // for all requests; closes if the endpoint is unreachable, fails at manifests, or throttles
	kinds   map[string]*breaker // for requests of one kind, such as referrers, at which alone some endpoints fail
	counted gate                // for requests that count against a pull quota; closes when the quota is used up
	prompt  gate                // closes when the endpoint exceeds the budget; other endpoints are then tried first
	// silent is set while the endpoint is slow and has not responded at all since. Optional requests are then held back.
	silent bool
	inTime time.Time // start of the latest attempt that got its response within the budget

	quota *Quota // as last reported; nil if never
}

func newHealth(registry, endpoint string, budget time.Duration) *health {
	return &health{budget: budget, kinds: map[string]*breaker{}, late: &Error{
		Registry: registry, Endpoint: endpoint, Err: fmt.Errorf("no answer within %s: %w", budget, context.DeadlineExceeded),
	}}
}

// ofKind returns the breaker for one kind of request.
func (h *health) ofKind(kind string) *breaker {
	b := h.kinds[kind]
	if b == nil {
		b = new(breaker)
		h.kinds[kind] = b
	}
	return b
}

// admit admits a request, or returns why it is held back. A slow endpoint admits only probes, unless slow is set.
func (h *health) admit(q request, slow bool) (*attempt, *Error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := time.Now()
	if g := h.closedTo(q, now, slow); g != nil {
		return nil, g.refusal(now)
	}
	a := &attempt{health: h, began: now, kind: q.kind()}
	h.all.enter(a)
	h.ofKind(a.kind).enter(a)
	if q.counts() {
		h.counted.enter(a)
	}
	if h.prompt.admits(now) {
		h.prompt.enter(a)
	}
	return a, nil
}

// wouldAdmit reports whether admit with slow set would admit a request.
func (h *health) wouldAdmit(q request) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.closedTo(q, time.Now(), true) == nil
}

// closedTo returns the gate that holds a request back, or nil.
func (h *health) closedTo(q request, now time.Time, slow bool) *gate {
	switch {
	case !h.all.admits(now):
		return &h.all.gate
	case !h.ofKind(q.kind()).admits(now):
		return &h.ofKind(q.kind()).gate
	case q.counts() && !h.counted.admits(now):
		return &h.counted
	case h.prompt.admits(now), slow && !(q.optional && h.silent):
		return nil
	}
	return &h.prompt
}

// attempt is one request to an endpoint, until its outcome is known.
type attempt struct {
	health *health
	began  time.Time
	kind   string // of the request
	judged bool   // guarded by the health's lock
}

// overdue marks the endpoint as slow when the budget of an attempt is over. It reports whether the attempt is still waiting.
func (a *attempt) overdue() bool {
	h := a.health
	h.mu.Lock()
	defer h.mu.Unlock()
	if a.judged {
		return false
	}
	if h.isNews(a) && !h.prompt.isClosed() {
		h.silent = true
		h.prompt.close(time.Now(), shortestPause, h.late)
	}
	return true
}

// end records the outcome of an attempt. Only the first call counts; later ones concern others, such as the storage.
func (a *attempt) end(v verdict, now time.Time, why *Error) {
	h := a.health
	h.mu.Lock()
	defer h.mu.Unlock()
	if a.judged {
		return
	}
	a.judged = true
	if v != abandoned {
		h.judge(a, v, now, why)
		h.judgeSpeed(a, v, now, why)
	}
	h.all.leave(a)
	h.ofKind(a.kind).leave(a)
	h.counted.leave(a)
	h.prompt.leave(a)
}

// judge opens and closes the gates that depend on what the endpoint answered.
func (h *health) judge(a *attempt, v verdict, now time.Time, why *Error) {
	switch v {
	case unclear:
		return
	case fine, overQuota:
		h.all.succeeded(a)
		h.ofKind(a.kind).succeeded(a)
	case failing, noAnswer:
		if a.kind == "manifests" || v == noAnswer && why.unreached || h.all.probe == a {
			h.all.failed(a, now, why)
		} else {
			h.ofKind(a.kind).failed(a, now, why)
		}
	}
	if v == fine {
		h.counted.succeeded(a)
	}
	h.throttle(a, v, now, why)
}

// judgeSpeed marks an endpoint that exceeds the budget as slow, and one that responds within it as healthy.
func (h *health) judgeSpeed(a *attempt, v verdict, now time.Time, why *Error) {
	late := now.Sub(a.began) >= h.budget
	switch {
	case late && !h.isNews(a):
	case late:
		h.silent = v == noAnswer
		h.prompt.failed(a, now, shortestPause, h.late)
	case v == noAnswer:
		if h.prompt.probe == a {
			h.prompt.failed(a, now, shortestPause, why)
		}
	default:
		h.prompt.open()
		if a.began.After(h.inTime) {
			h.inTime = a.began
		}
	}
}

// isNews reports whether a late attempt says something about the endpoint and not only about one request: no attempt that
// began later got its response within the budget.
func (h *health) isNews(a *attempt) bool { return !a.began.Before(h.inTime) }
