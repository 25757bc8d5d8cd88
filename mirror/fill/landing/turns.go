package landing

import (
	"context"
	"sync"
	"time"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/mirror/fill/patient"
)

const (
	// concurrentPuts limits the segments of all fills that are being stored at one time.
	concurrentPuts = 16
	// sureFailures is how many segments in a row the store must fail for those that wait for their turn to fail too.
	sureFailures = 3
)

// Turns are what segments of all fills wait for to be stored. If the store hangs, each segment would wait for all those
// before it to fail, so a segment that has waited learns how they fared.
type Turns struct {
	turns chan struct{}

	mu       sync.Mutex
	failures int // in a row
	last     time.Time
	err      error
}

// NewTurns returns turns that are all free.
func NewTurns() *Turns { return &Turns{turns: make(chan struct{}, concurrentPuts)} }

// take waits for a turn, and returns the function that ends it. It returns the error of others if they all failed while
// this one waited.
func (t *Turns) take(ctx context.Context) (end func(error), err error) {
	since := time.Now()
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case t.turns <- struct{}{}:
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.failures >= sureFailures && t.last.After(since) {
		<-t.turns
		return nil, t.err
	}
	return t.end, nil
}

func (t *Turns) end(err error) {
	<-t.turns
	t.mu.Lock()
	defer t.mu.Unlock()
	if err == nil {
		t.failures = 0
	}
	if err == nil || !patient.Passing(err) && !backend.IsUnwritable(err) {
		return
	}
	t.failures++
	t.last, t.err = time.Now(), err
}
