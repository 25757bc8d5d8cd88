package mirror

import (
	"bytes"
	"cmp"
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/maypok86/otter/v2"
	"github.com/opencontainers/go-digest"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/mirror/layout"
)

const (
	// maxUses limits the markers that wait to be written. If the bucket is slow, further ones are dropped: the next use of the object
	// is as good.
	maxUses = 1000
	// UseInterval is how precisely the last use of an object is known: a replica writes its marker at most once in this time.
	UseInterval = time.Hour
	// useWriters is the number of goroutines that write markers.
	useWriters = 2
)

// uses records the last use of objects in the bucket by an empty marker for each, which each replica writes at most once per
// interval. The time of the last use is when the marker was written.
type uses struct {
	store    backend.Store
	log      *slog.Logger
	now      func() time.Time
	interval time.Duration
	queue    chan digest.Digest
	stop     chan struct{}
	writers  sync.WaitGroup
	dropped  prometheus.Counter

	mu      sync.Mutex                             // held while a use is queued
	last    *otter.Cache[digest.Digest, time.Time] // when a marker was last queued for an object
	pending int                                    // queued or being written
	written chan struct{}                          // closed when none is pending; nil if none has been yet
}

func newUses(cfg Config) *uses {
	u := &uses{
		store: cfg.Store, log: cfg.Log, now: cfg.Now, interval: cmp.Or(cfg.UseInterval, UseInterval),
		queue: make(chan digest.Digest, maxUses), stop: make(chan struct{}),
		last: otter.Must(&otter.Options[digest.Digest, time.Time]{MaximumSize: maxPresences}),
		dropped: promauto.With(cfg.Metrics).NewCounter(prometheus.CounterOpts{
			Name: "entrepot_uses_dropped_total", Help: "Uses of objects not recorded because the bucket was too slow.",
		}),
	}
	for range useWriters {
		u.writers.Go(u.write)
	}
	return u
}

// mark queues a marker for an object. Every hit calls it, so it does not block.
func (u *uses) mark(d digest.Digest) {
	if u == nil {
		return
	}
	now := u.now()
	if u.isRecent(d, now) {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.isRecent(d, now) {
		return
	}
	select {
	case u.queue <- d:
		u.last.Set(d, now)
		if u.pending++; u.pending == 1 {
			u.written = make(chan struct{})
		}
	default:
		u.dropped.Inc()
	}
}

// isRecent reports whether the marker is not due.
func (u *uses) isRecent(d digest.Digest, now time.Time) bool {
	last, ok := u.last.GetIfPresent(d)
	return ok && now.Sub(last) < u.interval
}

// write writes the queued markers until stop is closed.
func (u *uses) write() {
	for {
		select {
		case <-u.stop:
			return
		case used := <-u.queue:
			ctx, cancel := context.WithTimeout(context.Background(), storeTimeout)
			err := touch(ctx, u.store, layout.Use(used))
			cancel()
			if err != nil {
				u.last.Invalidate(used) // the next use is as good
				u.log.Debug("use not recorded", "digest", used.String(), "error", err)
			}
			u.done()
		}
	}
}

// touch writes an empty object, or sets the time of the one that is there.
func touch(ctx context.Context, store backend.Store, key string) error {
	if t, ok := store.(backend.Toucher); ok {
		return t.Touch(ctx, key)
	}
	_, err := store.Put(ctx, key, bytes.NewReader(nil), 0, backend.PutOptions{})
	return err
}

// done counts a marker as no longer pending.
func (u *uses) done() {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.pending--; u.pending == 0 {
		close(u.written)
	}
}

// flush waits until no marker is pending. If ctx ends first, the rest is written later. Error: that of ctx.
func (u *uses) flush(ctx context.Context) error {
	if u == nil {
		return nil
	}
	u.mu.Lock()
	written := u.written
	u.mu.Unlock()
	if written == nil {
		return nil
	}
	select {
	case <-written:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// close drops the pending markers.
func (u *uses) close() {
	if u == nil {
		return
	}
	close(u.stop)
	u.writers.Wait()
}
