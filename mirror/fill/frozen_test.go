package fill_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/entrepot-io/entrepot/mirror/fill"
)

// errHop: the response was a redirect to the same URL.
var errHop = errors.New("the blob is not there yet")

const (
	// margin is how much of its process's running time a request has left when it gets its response.
	margin = time.Second
	// handingOver is how long a process runs after that before it is frozen.
	handingOver = 10 * time.Second
)

// patience is how long a client may have to wait in total. If processes freeze, each wrong turn costs a whole request, and
// the next request has to fetch the rest.
func (w *world) patience() time.Duration {
	if w.Freezes > 0 {
		return patience + time.Duration(w.Size/segmentSize+1)*(w.Freezes+handingOver)
	}
	return patience
}

// ask sends one request to one replica, in the way of this world.
func (c *client) ask(r *replica) error {
	if c.world.Freezes == 0 {
		return c.read(r)
	}
	select {
	case <-r.died:
		return errDead
	case r.busy <- struct{}{}:
		defer func() { <-r.busy }()
	}
	r.thaw()
	defer r.rest(r.freeze)
	ctx, cancel := context.WithTimeout(context.Background(), c.world.Freezes)
	defer cancel()
	got, err := r.fills.Join(ctx, c.world.digest, r.source())
	if err == nil {
		waiting, cancel := context.WithTimeout(ctx, c.world.Freezes-margin)
		defer cancel()
		err = got.Wait(waiting)
	}
	switch {
	case errors.Is(err, fill.ErrHandedOver) || errors.Is(err, context.DeadlineExceeded):
		return errHop
	case err != nil:
		return fmt.Errorf("%w: %w", errNoHeaders, err)
	}
	// A redirect. The client follows it even if the process should be frozen by now.
	return c.readFrom(context.Background(), r, got)
}

// rest makes the process hand over all fills, and then does what follows.
func (r *replica) rest(then func()) {
	ctx, cancel := context.WithTimeout(context.Background(), handingOver)
	defer cancel()
	if err := r.fills.HandOver(ctx); err != nil {
		r.world.logf("%s: not handed over: %v", r.name, err)
		// It continues when it is thawed, as after a pause.
		r.world.mu.Lock()
		r.world.hits["pause"]++
		r.world.mu.Unlock()
		r.mu.Lock()
		r.paused = true
		r.mu.Unlock()
	}
	if then != nil {
		then()
	}
}

func (r *replica) hasRested() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.rested
}

// freeze stops the process until thaw.
func (r *replica) freeze() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.world.logf("%s: frozen", r.name)
	if r.world.Breaks > 0 {
		r.world.mu.Lock()
		r.world.hits["freeze"]++
		r.world.mu.Unlock()
	}
	r.frozen = make(chan struct{})
}

func (r *replica) isFrozen() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.frozen != nil
}

func (r *replica) thaw() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.frozen != nil {
		close(r.frozen)
	}
	r.frozen = nil
}
