package budget

import (
	"context"
	"slices"
	"time"
)

// Need is what a hold asks for.
type Need struct {
	Memory  int64 // bytes
	Slot    bool  // permission to run one connection to the upstream
	Refetch bool  // the slot is for bytes that a reader has missed; the hold needs no memory for them
	Entries int   // in lists of segments, see Entries

	place bool
}

const (
	resumes = iota // a transfer that broke
	goesOn         // a stream
	begins
)

// rank returns the order in which claims are granted.
func (n Need) rank() int {
	switch {
	case n.Slot && n.Memory == 0 && !n.Refetch:
		return resumes
	case !n.Slot && n.Memory > 0:
		return goesOn
	}
	return begins
}

// claim is a need that is not met yet.
type claim struct {
	Need
	hold  *Hold
	tries bool // it does not wait
	order int
	since time.Time
	done  chan struct{} // closed when the claim is granted, or err is set
	err   error
}

// Hold is what one transfer has of the budget: a slot, and memory that no segment uses yet. Its methods are for one
// goroutine at a time.
type Hold struct {
	budget  *Budget
	account *Account
	room    int64 // bytes
	slot    bool
	told    bool // to give the slot up
}

// Hold returns an empty hold.
func (a *Account) Hold() *Hold { return &Hold{budget: a.budget, account: a} }

// HasSlot reports whether the hold has a slot.
func (h *Hold) HasSlot() bool { return h.slot }

// Room returns the memory in bytes that no segment uses yet.
func (h *Hold) Room() int64 { return h.room }

// Wait waits until the need is met. It takes what is free even if ctx has ended. After an error the hold may have what it
// asked for all the same. Errors: that of ctx, and ErrGiveWay.
func (h *Hold) Wait(ctx context.Context, n Need) error {
	c := h.claim(n, false)
	if n.rank() == goesOn {
		defer time.AfterFunc(MaxHold, h.budget.settle).Stop()
	}
	select {
	case <-c.done:
		return c.err
	default:
	}
	select {
	case <-c.done:
		return c.err
	case <-ctx.Done():
		h.budget.withdraw(c)
		return ctx.Err()
	}
}

// Try takes what the hold needs if it is free and nobody goes first. It reports whether it did.
func (h *Hold) Try(n Need) bool {
	c := h.claim(n, true)
	h.budget.withdraw(c)
	select {
	case <-c.done:
		return true
	default:
		return false
	}
}

func (h *Hold) claim(n Need, tries bool) *claim {
	b := h.budget
	b.mu.Lock()
	b.claims++
	c := &claim{Need: n, hold: h, tries: tries, order: b.claims, since: time.Now(), done: make(chan struct{})}
	b.waiting = append(b.waiting, c)
	b.mu.Unlock()
	b.settle()
	return c
}

// withdraw ends a wait.
func (b *Budget) withdraw(c *claim) {
	b.mu.Lock()
	b.remove(c)
	b.mu.Unlock()
	b.settle() // others may have waited behind it
}

// Buffer turns n bytes of the hold's room into a buffer, which then belongs to a segment: give it back by Budget.Return. It
// returns nil if there is not enough room.
func (h *Hold) Buffer(n int64) []byte {
	b := h.budget
	b.mu.Lock()
	enough := h.room >= n
	if enough {
		h.room -= n
	}
	b.mu.Unlock()
	switch {
	case !enough:
		return nil
	case n == b.unit:
		if buf, ok := b.pool.Get().(*[]byte); ok {
			return *buf
		}
	}
	return make([]byte, n)
}

// Wanted reports whether others wait for a slot of the same upstream.
func (h *Hold) Wanted() bool {
	b := h.budget
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.ContainsFunc(b.waiting, func(c *claim) bool { return c.Slot && c.hold.account.link == h.account.link })
}

// Trim gives back the room beyond n bytes.
func (h *Hold) Trim(n int64) {
	b := h.budget
	b.mu.Lock()
	if extra := h.room - n; extra > 0 {
		h.account.count(-extra, b.isLarge(h.room))
		b.returns(extra, b.isLarge(h.room))
		h.room = n
	}
	b.mu.Unlock()
	b.settle()
}

// ReleaseSlot gives back the slot. Close the response body first.
func (h *Hold) ReleaseSlot() {
	b := h.budget
	b.mu.Lock()
	if h.slot {
		h.slot = false
		h.account.slots--
		h.account.link.free++
		if h.told {
			h.told = false
			h.account.link.leaving--
		}
	}
	b.mu.Unlock()
	b.settle()
}

// Release gives back everything.
func (h *Hold) Release() {
	h.ReleaseSlot()
	h.Trim(0)
}
