package budget

import "slices"

// Evictable is a blob with complete segments in memory that others can have. Its methods must not call the budget while
// they hold a lock, except that the budget calls Cost with its own lock held.
type Evictable interface {
	// Cost returns how expensive it is to evict segment n: 0 if nobody needs it, more if it has to be read or fetched again.
	Cost(n int) int
	// Evict returns the memory of segment n to the budget, or offers it again later.
	Evict(n int)
}

// spare is a complete segment that stays in memory for readers and for the hash until others need the room.
type spare struct {
	blob Evictable
	n    int
}

// Offer lets others have the memory of a blob's segment when they need it.
func (b *Budget) Offer(blob Evictable, n int) {
	b.mu.Lock()
	b.spare = append(b.spare, spare{blob, n})
	b.mu.Unlock()
	b.settle()
}

// Forget withdraws all offers of a blob.
func (b *Budget) Forget(blob Evictable) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.spare = slices.DeleteFunc(b.spare, func(s spare) bool { return s.blob == blob })
}

// Return gives a buffer's memory back. Nobody may keep a reference to its bytes. A nil buffer is ignored.
func (b *Budget) Return(buf []byte) {
	if buf == nil {
		return
	}
	n := int64(len(buf))
	if n == b.unit {
		b.pool.Put(&buf)
	}
	b.mu.Lock()
	b.returns(n, b.isLarge(n))
	b.mu.Unlock()
	b.settle()
}

// returns adds to the free memory. The caller holds the lock.
func (b *Budget) returns(n int64, large bool) {
	b.free += n
	if large {
		b.large.held -= n
	}
}

// choose takes the cheapest segment off the list: the oldest of those that nobody needs, otherwise the one needed last. The
// caller holds the lock.
func (b *Budget) choose() spare {
	i, least := 0, 0
	for j, s := range b.spare {
		if cost := s.blob.Cost(s.n); j == 0 || cost < least || cost == least && cost > 0 {
			i, least = j, cost
		}
	}
	s := b.spare[i]
	b.spare = slices.Delete(b.spare, i, i+1)
	return s
}
