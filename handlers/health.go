package handlers

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"
)

// readyFor is how long probes share the result of a check.
const readyFor = time.Second

// health answers probes: live while the process runs, ready while its store is usable.
type health struct {
	check func(context.Context) (complaint string, err error)

	mu        sync.Mutex // held during a check; concurrent probes wait and share its result
	checked   time.Time
	complaint string
	err       error
}

func newHealth(check func(context.Context) (string, error)) *health { return &health{check: check} }

func (h *health) live(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") }

func (h *health) ready(w http.ResponseWriter, r *http.Request) {
	complaint, err := h.state(r.Context())
	switch {
	case err != nil:
		http.Error(w, "not ready: "+err.Error(), http.StatusServiceUnavailable)
	case complaint != "":
		fmt.Fprintln(w, "ready, but "+complaint)
	default:
		fmt.Fprintln(w, "ready")
	}
}

func (h *health) state(ctx context.Context) (complaint string, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if time.Since(h.checked) > readyFor {
		// Other probes share the result, so it must not depend on one that gives up.
		h.complaint, h.err = h.check(context.WithoutCancel(ctx))
		h.checked = time.Now()
	}
	return h.complaint, h.err
}
