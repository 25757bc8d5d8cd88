package budget

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// MaxFills limits the fills of a process, which hold connections, goroutines and lists.
	MaxFills = 256
	// freeEntries is how many segments each fill may list.
	freeEntries = 512
	// MaxEntries limits the sum of what longer lists have beyond freeEntries.
	MaxEntries = 100_000
	// MaxHold is how long a stream may keep a slot that others wait for while it waits for memory or for its readers.
	MaxHold = 10 * time.Second
)

// ErrBusy is wrapped if the process has no place for another fill.
var ErrBusy = errors.New("too many blobs are on their way; try again later")

// ErrGiveWay is returned to a stream that has to give up its slot: others wait for the slot, and there is no memory for
// the stream's next segment.
var ErrGiveWay = errors.New("no memory for the next segment")

// Budget grants the resources of a process to its fills. Its methods may be called concurrently.
type Budget struct {
	size, unit int64 // bytes of memory, and of a usual segment
	alone      bool  // there is one upstream
	pool       sync.Pool
	passing    atomic.Int64 // fills whose blobs pass through

	mu       sync.Mutex
	free     int64 // bytes
	large    struct{ held, incoming int64 }
	links    map[string]*link
	accounts map[*Account]struct{}
	entries  int // segments that huge blobs may still list
	spare    []spare
	waiting  []*claim
	claims   int // so far
}

// New returns a budget of memory bytes for usual segments of unit bytes. If alone, one upstream may have all of it.
func New(memory, unit int64, alone bool) *Budget {
	return &Budget{
		size: memory, unit: unit, alone: alone, free: memory, entries: MaxEntries,
		links: map[string]*link{}, accounts: map[*Account]struct{}{},
	}
}

// Size returns the memory of the budget in bytes.
func (b *Budget) Size() int64 { return b.size }

// Unit returns the length of a usual segment in bytes.
func (b *Budget) Unit() int64 { return b.unit }

// AddPassing changes the number of fills whose blobs pass through.
func (b *Budget) AddPassing(n int64) { b.passing.Add(n) }

// Window returns how many segments of that many bytes a blob that passes through may be ahead of its readers. All that
// pass through share half of the memory.
func (b *Budget) Window(segment int64) int {
	return int(max(1, b.size/2/segment/max(1, b.passing.Load())))
}

// Entries returns how many of a blob's segments exceed those that each fill may list.
func Entries(segments int) int { return max(0, segments-freeEntries) }

// link is an upstream's part of the budget.
type link struct {
	free     int   // slots
	incoming int64 // bytes of memory of incomplete segments
	leaving  int   // slots that streams were told to give up
}

// linkTo returns the link to an upstream. The caller holds the lock.
func (b *Budget) linkTo(upstream string, slots int) *link {
	if b.links[upstream] == nil {
		b.links[upstream] = &link{free: slots}
	}
	return b.links[upstream]
}

// FreeSlots returns how many slots of an upstream nobody has.
func (b *Budget) FreeSlots(upstream string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.links[upstream].free
}

// Unbalanced returns an error if something is still held. Call it when all fills have ended.
func (b *Budget) Unbalanced() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.free != b.size || b.large.held != 0 || b.large.incoming != 0 || b.entries != MaxEntries ||
		len(b.accounts) != 0 || len(b.waiting) != 0 || len(b.spare) != 0 {
		return fmt.Errorf("%d of %d bytes are free, large %v, %d entries, %d accounts, %d claims, %d spare",
			b.free, b.size, b.large, b.entries, len(b.accounts), len(b.waiting), len(b.spare))
	}
	for name, l := range b.links {
		if l.incoming != 0 || l.leaving != 0 {
			return fmt.Errorf("%s: %+v", name, *l)
		}
	}
	return nil
}

// remove takes a claim off the list. The caller holds the lock.
func (b *Budget) remove(c *claim) {
	if i := slices.Index(b.waiting, c); i >= 0 {
		b.waiting = slices.Delete(b.waiting, i, i+1)
	}
}
