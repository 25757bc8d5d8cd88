package growing

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/mirror/fill/budget"
)

// segment is one stretch of a blob. The blob's lock guards its fields. The bytes of buf past landed belong to the transfer;
// those before it are for readers and do not change.
type segment struct {
	buf     []byte         // nil before the segment's turn, and after its memory was given back
	landed  int            // bytes of buf that have arrived
	stored  backend.Object // in the bucket; its key is empty until then
	given   bool           // readers have bytes of stored
	gone    bool           // it was in the bucket, and is not any more
	claimed bool           // a worker is fetching it
	hashed  bool
	hashing bool // buf is being hashed, so it must stay
	spare   bool // buf is offered to others
	// sum is the SHA-256 of a segment that was evicted before it was hashed or stored.
	sum *[sha256.Size]byte
}

// arrived reports whether all of the segment has arrived.
func (s *segment) arrived() bool {
	return s.stored.Key != "" || s.isFull() || s.hashed || s.sum != nil
}

// isFull reports whether all of the segment is in memory.
func (s *segment) isFull() bool { return s.buf != nil && s.landed == len(s.buf) }

// Buffer returns the memory of segment n and how many of its bytes have arrived. If the segment has no memory yet, it takes
// that from the hold.
func (b *Blob) Buffer(h *budget.Hold, n int) ([]byte, int, error) {
	b.mu.RLock()
	s := b.segments[n]
	b.mu.RUnlock()
	if s.buf != nil {
		return s.buf, s.landed, nil
	}
	buf := h.Buffer(b.Length(n))
	if buf == nil {
		return nil, 0, fmt.Errorf("segment %d: no memory was claimed", n)
	}
	b.update(func() { b.segments[n].buf = buf })
	return buf, 0, nil
}

// Need returns what it takes to fetch segment n: a slot, and memory unless it has some.
func (b *Blob) Need(n int) budget.Need {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if b.segments[n].buf != nil {
		return budget.Need{Slot: true}
	}
	return budget.Need{Memory: b.Length(n), Slot: true}
}

// Land records that more bytes of segment n have arrived in its buffer.
func (b *Blob) Land(n, bytes int) {
	b.update(func() { b.segments[n].landed += bytes })
}

// Progress is how far a segment has come.
type Progress struct {
	Landed   int64 // bytes in memory
	Buffered bool  // the segment has memory
	Complete bool
}

// Progress returns how far segment n has come.
func (b *Blob) Progress(n int) Progress {
	b.mu.RLock()
	defer b.mu.RUnlock()
	s := &b.segments[n]
	return Progress{Landed: int64(s.landed), Buffered: s.buf != nil, Complete: s.arrived()}
}

// Complete reports whether all segments have arrived.
func (b *Blob) Complete() bool {
	b.mu.RLock()
	defer b.mu.RUnlock()
	for n := range b.segments {
		if !b.segments[n].arrived() {
			return false
		}
	}
	return true
}

// FirstIncomplete returns the first segment that has not arrived, 0 if all have.
func (b *Blob) FirstIncomplete() int {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return max(0, slices.IndexFunc(b.segments, func(s segment) bool { return !s.arrived() }))
}

// HasPartAfter reports whether a segment after n has arrived in part. It is -1 for any segment.
func (b *Blob) HasPartAfter(n int) bool {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return slices.ContainsFunc(b.segments[n+1:], func(s segment) bool { return s.buf != nil && !s.arrived() })
}

// Missing returns how many bytes of the blob have not arrived, as far as that is known.
func (b *Blob) Missing() (bytes int64) {
	if !b.HasSize() {
		return 0
	}
	b.mu.RLock()
	defer b.mu.RUnlock()
	if b.stored {
		return 0
	}
	for n := range b.segments {
		if !b.segments[n].arrived() {
			bytes += b.Length(n)
		}
	}
	return bytes
}

// Claim claims the next segment that nobody fetches and that is due, and returns -1 if there is none.
func (b *Blob) Claim() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	if n := b.firstUnclaimed(); n >= 0 && b.isDue(n) {
		b.segments[n].claimed = true
		return n
	}
	return -1
}

// ClaimFirst claims the first n segments.
func (b *Blob) ClaimFirst(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range b.segments[:n] {
		b.segments[i].claimed = true
	}
}

// Unclaim lets others claim segment n if it has not arrived.
func (b *Blob) Unclaim(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.segments[n].claimed = false
}

// Unclaimed reports whether a segment is left to claim, and whether it is due. The channel is closed when that may change.
func (b *Blob) Unclaimed() (left, due bool, changed <-chan struct{}) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	n := b.firstUnclaimed()
	return n >= 0, n >= 0 && b.isDue(n), b.changed
}

// firstUnclaimed returns the first segment that nobody fetches, -1 if there is none. The caller holds the lock.
func (b *Blob) firstUnclaimed() int {
	return slices.IndexFunc(b.segments, func(s segment) bool { return !s.claimed && !s.arrived() })
}

// AwaitSegment waits until segment n is complete. Its bytes then stay in memory, if they are there, until MarkHashed.
func (b *Blob) AwaitSegment(ctx context.Context, n int) error {
	for {
		b.mu.Lock()
		complete, changed := b.segments[n].arrived(), b.changed
		if complete {
			b.segments[n].hashing = b.segments[n].buf != nil
		}
		b.mu.Unlock()
		if complete {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		}
	}
}

// Bytes returns the memory of segment n, nil if it has none.
func (b *Blob) Bytes(n int) []byte {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.segments[n].buf
}
