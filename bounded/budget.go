package bounded

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"
)

const (
	// Small is the size in bytes up to which buffers do not count. A connection costs as much memory.
	Small = 32 << 10

	// maxWait bounds how long a caller waits for room, so that responses begin in time.
	maxWait = 10 * time.Second
	// moment bounds the wait of a caller that already holds room.
	moment = 300 * time.Millisecond
	// cutAfter is how long a caller waits before slow readers are cut off.
	cutAfter = time.Second
	// collectPause separates two garbage collections. One takes some milliseconds, since buffers contain no pointers.
	collectPause = 50 * time.Millisecond
)

// ErrFull means that no room became free in time.
var ErrFull = errors.New("the memory for manifests and lists is in use")

// ErrTooLarge means that a body exceeds its limit.
var ErrTooLarge = errors.New("too large")

// Budget bounds the memory of all buffers larger than Small. A buffer takes room until the garbage collector frees it. It
// therefore counts once, however many caches, transfers and slow clients refer to it, and no holder has to give it back.
// While a caller waits for room, the Budget runs the garbage collector and cuts off slow readers.
//
// A Budget is safe for concurrent use.
type Budget struct {
	size    int64
	room    *semaphore.Weighted
	used    atomic.Int64 // bytes
	refused atomic.Int64

	collecting sync.Mutex
	next       time.Time // when garbage may be collected again

	readers readers
}

// NewBudget returns a Budget of size bytes.
func NewBudget(size int64) *Budget {
	return &Budget{size: size, room: semaphore.NewWeighted(size)}
}

// Unlimited returns a Budget that never runs out.
func Unlimited() *Budget { return NewBudget(math.MaxInt64) }

// Size returns the total room in bytes.
func (b *Budget) Size() int64 { return b.size }

// Used returns the room in use, in bytes.
func (b *Budget) Used() int64 { return b.used.Load() }

// Refused returns how often callers got ErrFull.
func (b *Budget) Refused() int64 { return b.refused.Load() }

// Cut returns how many slow readers were cut off.
func (b *Budget) Cut() int64 { return b.readers.cut.Load() }

type holdingKey struct{}

// Holding marks the context of a caller that already holds room. Such a caller waits for a garbage collection at most, never
// until others release their room, so waiting callers cannot block each other.
func Holding(ctx context.Context) context.Context { return context.WithValue(ctx, holdingKey{}, true) }

func patience(ctx context.Context) time.Duration {
	if ctx.Value(holdingKey{}) != nil {
		return moment
	}
	return maxWait
}

// Make returns a buffer of n bytes. Callers that have to wait for room get it in the order of their calls; see Holding.
// Errors: ErrFull, and the context's error if it is canceled.
func (b *Budget) Make(ctx context.Context, n int64) ([]byte, error) {
	if n <= Small {
		return make([]byte, n), nil
	}
	if err := b.take(ctx, n); err != nil {
		return nil, err
	}
	buf := make([]byte, n)
	runtime.AddCleanup(&buf[0], b.giveBack, n)
	return buf, nil
}

// grow copies a buffer into another of n bytes.
func (b *Budget) grow(ctx context.Context, old []byte, n int64) ([]byte, error) {
	buf, err := b.Make(Holding(ctx), n)
	copy(buf, old)
	return buf, err
}

// Append appends pieces to buf, which grows within the budget. It waits like a caller that holds room. Error: ErrFull.
func (b *Budget) Append(ctx context.Context, buf []byte, pieces ...[]byte) ([]byte, error) {
	n := len(buf)
	for _, piece := range pieces {
		n += len(piece)
	}
	if n > cap(buf) {
		larger, err := b.grow(ctx, buf, int64(max(n, 2*cap(buf), 512)))
		if err != nil {
			return nil, err
		}
		buf = larger[:len(buf)]
	}
	for _, piece := range pieces {
		buf = append(buf, piece...)
	}
	return buf, nil
}

func (b *Budget) giveBack(n int64) {
	b.used.Add(-n)
	b.room.Release(n)
}

// take takes n bytes of room.
func (b *Budget) take(ctx context.Context, n int64) error {
	if !b.room.TryAcquire(n) {
		if err := b.wait(ctx, n); err != nil {
			return err
		}
	}
	b.used.Add(n)
	return nil
}

func (b *Budget) wait(ctx context.Context, n int64) error {
	if n <= b.size {
		waiting, cancel := context.WithTimeout(ctx, patience(ctx))
		defer cancel()
		var making sync.WaitGroup
		making.Go(func() { b.makeRoom(waiting) })
		err := b.room.Acquire(waiting, n)
		cancel()
		making.Wait()
		if err == nil {
			return nil
		}
		if errors.Is(ctx.Err(), context.Canceled) {
			return ctx.Err()
		}
	}
	b.refused.Add(1)
	return fmt.Errorf("%w: no room for %d of %d bytes; retry later, or raise ENTREPOT_MANIFEST_CACHE", ErrFull, n, b.size)
}

// makeRoom collects garbage until ctx ends. After cutAfter it also cuts off slow readers.
func (b *Budget) makeRoom(ctx context.Context) {
	began := time.Now()
	for {
		if time.Since(began) >= cutAfter {
			b.readers.cutSlow(time.Now())
		}
		b.collect()
		select {
		case <-ctx.Done():
			return
		case <-time.After(collectPause / 2):
		}
	}
}

// collect collects garbage unless another caller is doing so, or has just done it.
func (b *Budget) collect() {
	if !b.collecting.TryLock() {
		return
	}
	defer b.collecting.Unlock()
	if time.Now().Before(b.next) {
		return
	}
	runtime.GC()
	b.next = time.Now().Add(collectPause)
}

// Hold is room for memory that is not a buffer. It is not safe for concurrent use.
type Hold struct {
	budget *Budget
	n      int64
}

// Hold returns an empty Hold.
func (b *Budget) Hold() *Hold { return &Hold{budget: b} }

// Take adds n bytes. It waits like a caller that holds room. Error: ErrFull.
func (h *Hold) Take(ctx context.Context, n int64) error {
	if err := h.budget.take(Holding(ctx), n); err != nil {
		return err
	}
	h.n += n
	return nil
}

// Release returns all room to the Budget. It may be called more than once.
func (h *Hold) Release() {
	if h.n > 0 {
		h.budget.giveBack(h.n)
		h.n = 0
	}
}
