package growing

import "time"

const (
	// throughGrace is how long a blob that passes through is fetched on without readers.
	throughGrace = 5 * time.Second
	// lingering is how long a blob that has passed through stays for readers that have not reached its end.
	lingering = 30 * time.Second
)

// readers are those that want more of a blob. A blob that passes through is fetched for them alone, a little ahead of the
// furthest.
type readers struct {
	at       map[*Reader]int // the segment that each wants next
	furthest int             // segment that any of them has wanted
	came     bool            // there was one
	last     time.Time       // when the last one left
	left     time.Time       // likewise, or when one was about to come
	gone     bool            // there were none for so long that the fill ends
}

// enter counts a reader in.
func (b *Blob) enter(r *Reader) {
	if r.offset >= b.size {
		return
	}
	b.update(func() {
		if b.readers.at == nil {
			b.readers.at = map[*Reader]int{}
		}
		b.readers.came = true
		b.readers.move(r, int(r.offset/b.segSize))
	})
}

// moved records how far a reader has come, and counts it out at the end of the blob.
func (b *Blob) moved(r *Reader, before int64) {
	switch n := r.offset / b.segSize; {
	case r.offset >= b.size:
		b.leave(r)
	case n != before/b.segSize:
		b.update(func() { b.readers.move(r, int(n)) })
	}
}

func (rs *readers) move(r *Reader, n int) {
	rs.at[r] = n
	rs.furthest = max(rs.furthest, n)
}

// leave counts a reader out.
func (b *Blob) leave(r *Reader) {
	b.mu.RLock()
	_, reads := b.readers.at[r]
	b.mu.RUnlock()
	if !reads {
		return
	}
	b.update(func() {
		delete(b.readers.at, r)
		b.readers.last = time.Now()
		b.readers.left = b.readers.last
	})
}

// wanted reports whether some reader has not passed segment n. The caller holds the lock.
func (rs *readers) wanted(n int) bool {
	for _, at := range rs.at {
		if at <= n {
			return true
		}
	}
	return false
}

// Join reports whether the blob takes more readers. It does not if it has passed through to those who wanted it, or has had
// no readers for too long.
func (b *Blob) Join() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	passed := b.unstored != nil && b.verified && b.readers.came && len(b.readers.at) == 0
	// Those who join and never read do not keep the blob.
	idle := b.unstored != nil && len(b.readers.at) == 0 && time.Since(b.readers.last) > 2*throughGrace
	b.readers.gone = b.readers.gone || idle && !b.verified
	if passed || b.readers.gone {
		return false
	}
	b.readers.left = time.Now()
	return true
}

// unread returns for how long nobody has read a blob that passes through, 0 if somebody does. At throughGrace the blob
// takes no more readers.
func (b *Blob) unread() time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.unstored == nil || b.verified || len(b.readers.at) > 0 {
		return 0
	}
	unread := max(1, time.Since(b.readers.left))
	b.readers.gone = b.readers.gone || unread >= throughGrace
	return unread
}
