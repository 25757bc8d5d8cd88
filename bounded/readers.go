package bounded

import (
	"sync"
	"sync/atomic"
	"time"
)

const (
	// stalled is how long a reader may read nothing while callers wait for room.
	stalled = 7 * time.Second
	// minSpeed is the minimum average speed of a reader while callers wait for room, in bytes per second.
	minSpeed = 64 << 10
)

// readers are all clients to which buffers are being sent.
type readers struct {
	mu  sync.Mutex
	all map[*Reader]struct{}
	cut atomic.Int64 // so far
}

// Reader is a client to which a buffer is being sent. It is cut off if it is slow while callers wait for room.
type Reader struct {
	budget *Budget
	cut    func()
	began  time.Time

	sent  atomic.Int64 // bytes
	moved atomic.Int64 // time of the last progress, in nanoseconds since began
	isCut atomic.Bool
}

// Reader registers a client until Done. cut cuts the client off: it must make writes to the client fail without blocking.
// It is called at most once.
func (b *Budget) Reader(cut func()) *Reader {
	r := &Reader{budget: b, cut: cut, began: time.Now()}
	b.readers.mu.Lock()
	defer b.readers.mu.Unlock()
	if b.readers.all == nil {
		b.readers.all = map[*Reader]struct{}{}
	}
	b.readers.all[r] = struct{}{}
	return r
}

// Took records that the client has read n bytes.
func (r *Reader) Took(n int) {
	r.sent.Add(int64(n))
	r.moved.Store(int64(time.Since(r.began)))
}

// Done removes the client and reports whether it was cut off.
func (r *Reader) Done() (cut bool) {
	r.budget.readers.mu.Lock()
	defer r.budget.readers.mu.Unlock()
	delete(r.budget.readers.all, r)
	return r.isCut.Load()
}

// cutSlow cuts off all slow readers.
func (rs *readers) cutSlow(now time.Time) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	for r := range rs.all {
		if r.isSlow(now) && r.isCut.CompareAndSwap(false, true) {
			r.cut()
			rs.cut.Add(1)
		}
	}
}

func (r *Reader) isSlow(now time.Time) bool {
	lasts := now.Sub(r.began)
	return lasts-time.Duration(r.moved.Load()) > stalled ||
		lasts > stalled+time.Duration(r.sent.Load())*time.Second/minSpeed
}
