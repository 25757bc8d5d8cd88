package stall

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/entrepot-io/entrepot/backend"
)

// watch is a clock that runs while a request waits for the store. It cancels the request after too long a wait.
type watch struct {
	cancel context.CancelCauseFunc

	mu      sync.Mutex
	timer   *time.Timer
	running bool
	over    bool
	since   time.Time
	bound   time.Duration
	what    string // describes the stall
	stalled error
}

func newWatch(cancel context.CancelCauseFunc) *watch { return &watch{cancel: cancel} }

// wait starts a wait for the store, or restarts it.
func (w *watch) wait(bound time.Duration, what string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.over || bound <= 0 {
		return
	}
	w.running, w.since, w.bound, w.what = true, time.Now(), bound, what
	if w.timer == nil {
		w.timer = time.AfterFunc(bound, w.expire)
	} else {
		w.timer.Reset(bound)
	}
}

// pause ends a wait.
func (w *watch) pause() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.running = false
	if w.timer != nil {
		w.timer.Stop()
	}
}

// end ends the last wait and returns the error if the request was canceled.
func (w *watch) end() error {
	w.pause()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.over = true
	return w.stalled
}

func (w *watch) expire() {
	w.mu.Lock()
	// A timer that was stopped or reset may still get here.
	stalled := w.running && time.Since(w.since) >= w.bound
	if stalled {
		w.running, w.over = false, true
		w.stalled = fmt.Errorf("%w: no progress for %s: %s", backend.ErrLate, w.bound, w.what)
	}
	err := w.stalled
	w.mu.Unlock()
	if stalled {
		w.cancel(err)
	}
}

// failure returns the error if the request was canceled.
func (w *watch) failure() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.stalled
}
