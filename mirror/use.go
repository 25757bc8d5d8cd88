package mirror

import (
	"bytes"
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
	// useWriters is the number of goroutines that write markers.
	useWriters = 2
)

// uses records the use of objects in the bucket by empty markers, at most one per object, replica and day. They show which objects
// are unused.
type uses struct {
	store   backend.Store
	log     *slog.Logger
	now     func() time.Time
	queue   chan use
	stop    chan struct{}
	writers sync.WaitGroup
	dropped prometheus.Counter

	mu      sync.Mutex                         // held while a use is queued
	last    *otter.Cache[digest.Digest, int64] // last day queued for an object, in days since 1970
	pending int                                // queued or being written
	written chan struct{}                      // closed when none is pending; nil if none has been yet
}

// use is the first use of an object on a day.
type use struct {
	digest digest.Digest
	day    time.Time
}

func newUses(store backend.Store, log *slog.Logger, now func() time.Time, metrics prometheus.Registerer) *uses {
	u := &uses{
		store: store, log: log, now: now, queue: make(chan use, maxUses), stop: make(chan struct{}),
		last: otter.Must(&otter.Options[digest.Digest, int64]{MaximumSize: maxPresences}),
		dropped: promauto.With(metrics).NewCounter(prometheus.CounterOpts{
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
	today := now.Unix() / (24 * 60 * 60)
	if last, ok := u.last.GetIfPresent(d); ok && last == today {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if last, ok := u.last.GetIfPresent(d); ok && last == today {
		return
	}
	select {
	case u.queue <- use{d, now.UTC()}:
		u.last.Set(d, today)
		if u.pending++; u.pending == 1 {
			u.written = make(chan struct{})
		}
	default:
		u.dropped.Inc()
	}
}

// write writes the queued markers until stop is closed.
func (u *uses) write() {
	for {
		select {
		case <-u.stop:
			return
		case used := <-u.queue:
			ctx, cancel := context.WithTimeout(context.Background(), storeTimeout)
			key := layout.Use(used.day.Format(time.DateOnly), used.digest)
			_, err := u.store.Put(ctx, key, bytes.NewReader(nil), 0, backend.PutOptions{})
			cancel()
			if err != nil {
				u.last.Invalidate(used.digest) // the next use is as good
				u.log.Debug("use not recorded", "digest", used.digest.String(), "error", err)
			}
			u.done()
		}
	}
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
