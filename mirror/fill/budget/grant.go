package budget

import (
	"cmp"
	"slices"
	"time"
)

// settle grants what can be granted. Call it after each change.
func (b *Budget) settle() {
	for {
		b.mu.Lock()
		victim, parked := b.grantAll(time.Now())
		b.mu.Unlock()
		for _, a := range parked {
			a.owner.Park()
		}
		if victim == nil {
			return
		}
		victim.blob.Evict(victim.n)
	}
}

// grantAll goes through the claims in their order. It returns a spare segment to evict for the first claim that lacks
// memory, and the accounts to park for claims of readers. The caller holds the lock.
func (b *Budget) grantAll(now time.Time) (victim *spare, parked []*Account) {
	if len(b.waiting) == 0 {
		return nil, nil
	}
	order := slices.Clone(b.waiting)
	slices.SortStableFunc(order, func(x, y *claim) int { return b.compare(x, y, now) })
	short := shortages{large: b.largeWaits()}
	for _, c := range order {
		lacks := b.lacks(c, &short)
		if lacks == nothing {
			b.grant(c)
			continue
		}
		if lacks == memory && len(b.spare) > 0 && !short.memory[b.isLarge(c.Memory)] {
			s := b.choose()
			return &s, nil
		}
		if !c.tries {
			short.add(c, lacks, b.isLarge(c.Memory), now)
		}
	}
	b.hurryStreams(order, &short, now)
	return nil, b.parkFor(&short, now)
}

// compare orders claims: by rank, then those with readers first, then those of fills with fewer slots, then by age.
func (b *Budget) compare(x, y *claim, now time.Time) int {
	if c := cmp.Compare(x.rank(), y.rank()); c != 0 {
		return c
	}
	if xs, ys := x.hold.account.isRead(now), y.hold.account.isRead(now); xs != ys {
		if xs {
			return -1
		}
		return 1
	}
	if x.rank() == begins {
		if c := cmp.Compare(x.hold.account.slots, y.hold.account.slots); c != 0 {
			return c
		}
	}
	return cmp.Compare(x.order, y.order)
}

// largeWaits reports whether memory is all that a large segment lacks.
func (b *Budget) largeWaits() bool {
	return slices.ContainsFunc(b.waiting, func(c *claim) bool {
		return !c.tries && b.isLarge(c.Memory) && b.large.incoming+c.Memory <= b.size/2
	})
}

// lack is the reason why a claim is not granted.
type lack int

const (
	nothing lack = iota
	place
	entries
	slot
	upstreamShare // of memory, of an upstream
	largeShare    // of memory, of large segments
	memory
)

// shortages are the claims that could not be granted, in their order.
type shortages struct {
	memory  map[bool]bool // whether a usual (false) or a large (true) segment lacks memory: those behind it wait
	large   bool          // a large segment waits: the usual ones have half of the memory
	of      map[lack][]*claim
	wanted  map[*link]bool // somebody waits for a slot
	resumes map[*link]int  // number of broken transfers that wait for a slot
}

func (s *shortages) add(c *claim, lacks lack, large bool, now time.Time) {
	if s.of == nil {
		s.of, s.memory = map[lack][]*claim{}, map[bool]bool{}
		s.wanted, s.resumes = map[*link]bool{}, map[*link]int{}
	}
	link := c.hold.account.link
	switch lacks {
	case memory:
		s.memory[large] = true
	case slot:
		s.wanted[link] = true
		if c.rank() == resumes {
			s.resumes[link]++
		}
	}
	if c.hold.account.isRead(now) {
		s.of[lacks] = append(s.of[lacks], c)
	}
}

// lacks returns what a claim has to wait for.
func (b *Budget) lacks(c *claim, short *shortages) lack {
	link, large := c.hold.account.link, b.isLarge(c.Memory)
	switch {
	case c.place && len(b.accounts) >= MaxFills:
		return place
	case c.Entries > b.entries:
		return entries
	case c.Slot && link.free == 0:
		return slot
	case c.Memory == 0:
		return nothing
	case large && b.large.incoming+c.Memory > b.size/2:
		return largeShare
	case !b.admits(link, c.Memory):
		return upstreamShare
	case c.Memory > b.free, short.memory[large], !large && short.large && b.size-b.free-b.large.held+c.Memory > b.size/2:
		return memory
	}
	return nothing
}

// admits reports whether an upstream may have n more bytes of memory.
func (b *Budget) admits(l *link, n int64) bool {
	if b.alone || l.incoming == 0 {
		return true
	}
	others := int64(0)
	for _, other := range b.links {
		if other != l {
			others += other.incoming
		}
	}
	return l.incoming+n <= (b.size-others)/4*3
}

// isLarge reports whether a segment is larger than usual.
func (b *Budget) isLarge(n int64) bool { return n > b.unit }

func (b *Budget) grant(c *claim) {
	h := c.hold
	if c.place {
		b.accounts[h.account] = struct{}{}
	}
	b.entries -= c.Entries
	h.account.entries += c.Entries
	if c.Slot {
		h.slot = true
		h.account.slots++
		h.account.link.free--
	}
	if c.Memory > 0 {
		large := b.isLarge(c.Memory)
		h.room += c.Memory
		b.free -= c.Memory
		h.account.count(c.Memory, large)
		if large {
			b.large.held += c.Memory
		}
	}
	b.remove(c)
	close(c.done)
}

// hurryStreams makes streams that wait for memory give up slots that others wait for.
func (b *Budget) hurryStreams(order []*claim, short *shortages, now time.Time) {
	for _, c := range slices.Backward(order) {
		link := c.hold.account.link
		if c.rank() != goesOn || c.tries || !slices.Contains(b.waiting, c) {
			continue
		}
		if short.resumes[link] > link.leaving || (short.wanted[link] && now.Sub(c.since) >= MaxHold) {
			c.hold.told = true
			link.leaving++
			c.err = ErrGiveWay
			b.remove(c)
			close(c.done)
		}
	}
}
