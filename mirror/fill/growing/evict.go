package growing

import (
	"crypto/sha256"
	"slices"
)

// Retire offers the memory of segment n to others, if the segment is stored or will not be.
func (b *Blob) Retire(n int) {
	b.mu.Lock()
	s := &b.segments[n]
	offer := s.buf != nil && (s.stored.Key != "" || b.unstored != nil && s.isFull()) && !s.hashing && !s.spare
	if offer {
		s.spare = true
	}
	b.mu.Unlock()
	if offer {
		b.Account.Budget().Offer(b, n)
	}
}

// Evict gives back the memory of a retired segment, unless the segment is being hashed; then MarkHashed offers it again.
func (b *Blob) Evict(n int) {
	b.mu.Lock()
	s := &b.segments[n]
	s.spare = false
	var buf []byte
	switch {
	case s.hashed && (s.stored.Key != "" || b.unstored != nil):
		buf, s.buf = s.buf, nil
	case !s.hashed && s.isFull() && !s.hashing && (s.stored.Key != "" || b.unstored != nil && b.isKeptBack(n)):
		// If it has to come once more, its bytes must be the same.
		sum := sha256.Sum256(s.buf)
		buf, s.buf, s.sum = s.buf, nil, &sum
	}
	b.mu.Unlock()
	b.Account.Budget().Return(buf)
}

// isKeptBack reports whether a full segment cannot be hashed yet, since one before it is incomplete. The caller holds the
// lock.
func (b *Blob) isKeptBack(n int) bool {
	return slices.ContainsFunc(b.segments[:n], func(s segment) bool { return !s.arrived() })
}

// Cost returns how expensive it is to evict segment n, see budget.Evictable.
func (b *Blob) Cost(n int) int {
	b.mu.RLock()
	defer b.mu.RUnlock()
	s := &b.segments[n]
	stored := s.stored.Key != "" && b.unstored == nil
	switch {
	case s.hashed && (stored || !b.readers.wanted(n)):
		return 0
	case stored:
		return 1
	case s.hashed:
		return 2
	}
	return 3
}

// drop gives back the memory of all segments.
func (b *Blob) drop() {
	b.Account.Budget().Forget(b)
	for n := range b.segments {
		b.mu.Lock()
		buf, complete := b.segments[n].buf, b.segments[n].arrived()
		b.segments[n].buf = nil
		b.mu.Unlock()
		if buf != nil && !complete {
			b.Account.Arrived(int64(len(buf)))
		}
		b.Account.Budget().Return(buf)
	}
}
