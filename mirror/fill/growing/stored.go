package growing

import "github.com/entrepot-io/entrepot/backend"

// Objects returns the objects of the segments in the bucket. The key of one that is not there is empty.
func (b *Blob) Objects() []backend.Object {
	objects := make([]backend.Object, len(b.segments))
	b.mu.RLock()
	defer b.mu.RUnlock()
	for n := range b.segments {
		objects[n] = b.segments[n].stored
	}
	return objects
}

// Object returns the object of segment n, and reports whether it can be read.
func (b *Blob) Object(n int) (backend.Object, bool) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	s := &b.segments[n]
	return s.stored, s.stored.Key != "" && (!s.gone || b.unstored == nil)
}

// MarkSegmentStored records the object of segment n, unless the blob passes through: then readers may be reading other
// bytes.
func (b *Blob) MarkSegmentStored(n int, object backend.Object) {
	b.update(func() {
		if b.unstored == nil {
			b.segments[n].stored = object
		}
	})
}

// MarkSegmentGone records that the bucket does not give segment n any more.
func (b *Blob) MarkSegmentGone(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.segments[n].gone = true
}

// MarkHashed records the hash state after segment n, and that its memory may be reused.
func (b *Blob) MarkHashed(n int, state []byte) {
	b.update(func() {
		b.segments[n].hashing, b.segments[n].hashed = false, true
		if b.states == nil {
			b.states = make([][]byte, len(b.segments)+1)
		}
		b.states[n+1] = state
	})
	b.Retire(n)
}

// HashState returns the last known hash state over at most so many segments, and over how many it is.
func (b *Blob) HashState(atMost int) (hashed int, state []byte) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	for n := min(atMost, len(b.states)-1); n > 0; n-- {
		if b.states[n] != nil {
			return n, b.states[n]
		}
	}
	return 0, nil
}

// Adopt replaces all segments by objects in the bucket, of which the first ones are hashed, to that state. It reports
// whether readers still find what they have read.
func (b *Blob) Adopt(objects []backend.Object, hashed int, state []byte) (intact bool) {
	intact = true
	b.update(func() {
		b.states = make([][]byte, len(b.segments)+1)
		if hashed > 0 {
			b.states[hashed] = state
		}
		for n := range b.segments {
			was := b.segments[n]
			intact = intact && (!was.given || was.stored.Key == objects[n].Key)
			b.segments[n] = segment{stored: objects[n], given: was.given, hashed: n < hashed}
		}
	})
	return intact
}

// Discover records segments that another replica has stored. It reports whether one is new, and whether one differs from
// what readers have had.
func (b *Blob) Discover(found map[int]backend.Object) (landed, differs bool) {
	b.update(func() {
		for n, object := range found {
			switch s := &b.segments[n]; {
			case s.stored.Key == object.Key:
			case s.given:
				differs = true
			case s.stored.Key == "" || s.gone:
				s.stored, s.gone, landed = object, false, true
			}
		}
	})
	return landed, differs
}

// LastInOrder returns the key of the last segment before the first one that is not stored, empty if there is none.
func (b *Blob) LastInOrder() string {
	b.mu.RLock()
	defer b.mu.RUnlock()
	last := ""
	for n := range b.segments {
		if b.segments[n].stored.Key == "" {
			break
		}
		last = b.segments[n].stored.Key
	}
	return last
}

// AllStored reports whether all segments are in the bucket. A blob of one segment is stored without them.
func (b *Blob) AllStored() bool {
	if !b.HasSize() {
		return false
	}
	if len(b.segments) == 1 {
		return true
	}
	b.mu.RLock()
	defer b.mu.RUnlock()
	for n := range b.segments {
		if b.segments[n].stored.Key == "" {
			return false
		}
	}
	return true
}

// Given reports whether readers have bytes of segment n from the bucket.
func (b *Blob) Given(n int) bool {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.segments[n].given
}

// MarkGiven assumes that readers have had all that is here. What they had from memory is not recorded.
func (b *Blob) MarkGiven() {
	b.update(func() {
		for n := range b.segments {
			s := &b.segments[n]
			s.given = s.given || s.landed > 0 || s.stored.Key != ""
		}
	})
}
