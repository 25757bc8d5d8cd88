package fill_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"iter"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/mirror/fill"
	"github.com/entrepot-io/entrepot/mirror/layout"
	"github.com/entrepot-io/entrepot/upstream"
)

var (
	errDead       = errors.New("the replica is dead")
	errLost error = &net.OpError{Op: "read", Net: "tcp", Err: syscall.ECONNRESET}
)

// replica is a process: real fills, and an unreliable network between them and the world. A process affects the world only
// by calls, so it pauses and dies in calls.
type replica struct {
	world *world
	name  string
	fills *fill.Fills
	died  chan struct{}

	downloads atomic.Int64 // bodies that have to be closed

	registry *upstream.Registry // see places_test.go; nil: the upstream has one endpoint

	mu     sync.Mutex
	until  time.Time // the end of a pause
	dead   bool
	closed bool
	paused bool          // at least once
	rested bool          // at least once
	frozen chan struct{} // closed when the process thaws; nil: it runs

	busy chan struct{} // has one element while the process answers a request; see weather.Freezes
}

func newReplica(w *world, name string) *replica {
	r := &replica{world: w, name: name, died: make(chan struct{}), busy: make(chan struct{}, 1)}
	var store backend.Store = r
	if !w.Composes && w.Seed%2 == 0 { // otherwise the store answers that it cannot
		store = struct{ backend.Store }{r}
	}
	r.fills = fill.New(fill.Config{
		Store: store, Realm: layout.Public, SegmentSize: segmentSize, Memory: w.Memory, Connections: w.Connections,
		Abilities: abilities(store, w.Leases),
		Log:       w.log(name),
		Metrics:   fill.NewMetrics(nil),
		Freezes:   w.Freezes > 0,
	})
	return r
}

// gone reports whether clients can no longer reach it.
func (r *replica) gone() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.dead || r.closed
}

// struck reports whether it died, was closed or was paused.
func (r *replica) struck() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.dead || r.closed || r.paused
}

func (r *replica) isDead() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.dead
}

// awake waits until the process runs. If the process is dead, awake waits until the world is over, and returns errDead. It
// ignores contexts, as a stopped process does.
func (r *replica) awake() error {
	for {
		r.mu.Lock()
		pause, dead, frozen := time.Until(r.until), r.dead, r.frozen
		r.mu.Unlock()
		switch {
		case dead:
			<-r.world.over
			return errDead
		case frozen != nil:
			select {
			case <-frozen:
			case <-r.world.over:
				return errDead
			}
			continue
		case pause <= 0:
			return nil
		}
		time.Sleep(pause)
	}
}

// meet carries out the strike that waits for this event, and reports whether there is one.
func (r *replica) meet(event string, after bool) (hit bool) {
	w := r.world
	name := event
	if after {
		name += " after"
	}
	w.mu.Lock()
	w.events[name]++
	n := w.events[name]
	w.mu.Unlock()
	for _, s := range w.Strikes {
		if s.At == event && s.After == after && s.Nth == n && !w.peaceful.Load() {
			r.suffer(s)
			hit = true
		}
	}
	return hit
}

func (r *replica) suffer(s strike) {
	does := s.Does
	if others := len(r.world.live()); others < 2 && (does == "die" || does == "close") {
		does = "pause" // one replica must survive
	}
	r.world.logf("%s: %s at %s, after=%t", r.name, does, s.At, s.After)
	if r.world.stateless() {
		r.world.unbegun.Store(true)
	}
	r.world.mu.Lock()
	r.world.hits[does]++
	r.world.mu.Unlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.dead:
	case does == "pause":
		r.paused = true
		r.until = time.Now().Add(s.Pauses)
	case does == "die":
		r.dead = true
		close(r.died)
	case does == "close" && !r.closed:
		r.closed = true
		go r.fills.Close()
	case does == "rest":
		r.rested = true
		go r.rest(nil)
	}
}

// event names a call by its method and kind of object.
func event(method, key string) string {
	switch {
	case strings.HasSuffix(key, "/lease"):
		return method + " lease"
	case strings.HasPrefix(key, "public/blobs/"):
		return method + " blob"
	}
	return method + " segment"
}

// call carries a request to the store and its response back, like a network. effect is what the store does. It may happen
// late: after the caller has died or stopped.
func call[T any](ctx context.Context, r *replica, event, key string, effect func(late bool) (T, error)) (T, error) {
	var none T
	if err := r.awake(); err != nil {
		return none, err
	}
	w := r.world
	number, _, _ := strings.Cut(key[strings.LastIndex(key, "/")+1:], ".") // epochs differ between runs of a seed
	dice := w.roll(r.name, event, number)
	later := func() {
		delay := time.Duration(dice.Int64N(int64(latest)))
		go func() {
			time.Sleep(delay)
			_, err := effect(true)
			w.logf("%s: late %s %s: %v", r.name, event, number, err)
		}()
	}
	hit := r.meet(event, false)
	if r.isDead() || dice.IntN(2) == 0 { // the request was not sent before the strike
		if r.isDead() && dice.IntN(2) == 0 {
			later()
		}
		if err := r.awake(); err != nil {
			return none, err
		}
	}
	if err := w.travel(ctx, dice); err != nil {
		if dice.IntN(2) == 0 {
			later()
		}
		_ = r.awake() // a dead process notices in its next call
		return none, err
	}
	if r.isDead() && dice.IntN(2) == 0 {
		return none, r.awake()
	}
	if w.out() {
		return none, errLost
	}
	trouble := ""
	if w.happens(dice, w.Losses) {
		trouble = []string{"refused", "unanswered", "late", "repeated", "twin"}[dice.IntN(5)]
		w.logf("%s: %s %s is %s", r.name, event, number, trouble)
	}
	switch trouble {
	case "refused":
		return none, errLost
	case "late":
		later()
		return none, errLost
	case "twin":
		later()
	case "repeated":
		if _, err := effect(false); err != nil {
			w.logf("%s: first %s %s: %v", r.name, event, number, err)
		}
		if err := w.travel(ctx, dice); err != nil {
			return none, err
		}
	}
	answer, err := effect(hit || r.isDead())
	if !strings.HasPrefix(event, "read") {
		w.logf("%s: %s %s: %s", r.name, event, number, short(err))
	}
	r.meet(event, true)
	if err := w.travel(ctx, dice); err != nil {
		_ = r.awake()
		return none, err
	}
	if err := r.awake(); err != nil {
		return none, err
	}
	if trouble == "unanswered" {
		return none, errLost
	}
	return answer, err
}

func short(err error) string {
	for _, known := range []error{backend.ErrNotFound, backend.ErrPrecondition} {
		if errors.Is(err, known) {
			return known.Error()
		}
	}
	if err != nil {
		return err.Error()
	}
	return "ok"
}

// slowest is the longest travel time. Longer ones are losses.
const slowest = 1500 * time.Millisecond

// travel waits for one way between a replica and the store.
func (w *world) travel(ctx context.Context, dice *rand.Rand) error {
	d := time.Duration(float64(w.Latency) * dice.ExpFloat64())
	if !w.calm() && dice.IntN(50) == 0 {
		d += time.Duration(dice.Int64N(int64(slowest)))
	}
	return sleep(ctx, min(d, slowest))
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return ctx.Err()
	}
}

func (r *replica) Put(ctx context.Context, key string, body io.Reader, size int64, o backend.PutOptions) (backend.Object, error) {
	data := make([]byte, size)
	if _, err := io.ReadFull(body, data); err != nil {
		return backend.Object{}, err
	}
	if err := r.world.refuses(ctx, event("put", key)); err != nil {
		return backend.Object{}, err
	}
	return call(ctx, r, event("put", key), key, func(late bool) (backend.Object, error) {
		stored, err := r.world.store.Put(context.Background(), key, bytes.NewReader(data), size, o)
		if err == nil {
			r.world.wrote(r, key, late)
		}
		return stored, err
	})
}

func (r *replica) Compose(ctx context.Context, key string, parts []backend.Object, o backend.PutOptions) (backend.Object, error) {
	if err := r.world.refuses(ctx, "compose"); err != nil {
		return backend.Object{}, err
	}
	return call(ctx, r, "compose", key, func(late bool) (backend.Object, error) {
		if !r.world.Composes {
			return backend.Object{}, backend.ErrUnable
		}
		stored, err := r.world.store.Compose(context.Background(), key, parts, o)
		if err == nil {
			r.world.wrote(r, key, late)
		}
		return stored, err
	})
}

func (r *replica) Delete(ctx context.Context, key string) error {
	_, err := call(ctx, r, event("delete", key), key, func(late bool) (struct{}, error) {
		if late {
			r.world.robbed.Store(true)
		}
		return struct{}{}, r.world.store.Delete(context.Background(), key)
	})
	return err
}

func (r *replica) Stat(ctx context.Context, key string) (backend.Object, error) {
	return call(ctx, r, event("stat", key), key, func(bool) (backend.Object, error) {
		return r.world.store.Stat(context.Background(), key)
	})
}

func (r *replica) List(ctx context.Context, prefix, after string) iter.Seq2[backend.Object, error] {
	return func(yield func(backend.Object, error) bool) {
		all, err := call(ctx, r, "list", "", func(bool) (all []backend.Object, err error) {
			for o, err := range r.world.store.List(context.Background(), prefix, after) {
				if err != nil {
					return nil, err
				}
				all = append(all, o)
			}
			return all, nil
		})
		if err != nil {
			yield(backend.Object{}, err)
			return
		}
		for _, o := range all {
			if !yield(o, nil) {
				return
			}
		}
	}
}

func (r *replica) Get(ctx context.Context, key string, part backend.Range) (io.ReadCloser, backend.Object, error) {
	type answer struct {
		body   io.ReadCloser
		object backend.Object
	}
	got, err := call(ctx, r, event("get", key), key, func(bool) (answer, error) {
		body, object, err := r.world.store.Get(context.Background(), key, part)
		return answer{body, object}, err
	})
	if err != nil {
		return nil, backend.Object{}, err
	}
	return &arriving{ctx, r, got.body, r.world.roll(r.name, "body", event("get", key))}, got.object, nil
}

// arriving is an object's body in transit from the store.
type arriving struct {
	ctx     context.Context
	replica *replica
	io.ReadCloser
	dice *rand.Rand
}

func (a *arriving) Read(p []byte) (int, error) {
	w := a.replica.world
	if err := a.replica.awake(); err != nil {
		return 0, err
	}
	if err := sleep(a.ctx, time.Duration(float64(w.Latency)*a.dice.Float64()/10)); err != nil {
		return 0, err
	}
	if w.happens(a.dice, w.Losses) {
		return 0, errLost
	}
	n, err := a.ReadCloser.Read(p[:min(len(p), 1+a.dice.IntN(segmentSize))])
	if stopped := a.replica.awake(); stopped != nil {
		return 0, stopped
	}
	return n, err
}
