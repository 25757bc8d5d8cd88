package budget

import (
	"context"
	"fmt"
	"slices"
	"time"
)

const (
	// unreadGrace is how long a fill without readers keeps its claims as if it had some: clients come back.
	unreadGrace = 5 * time.Second
	// unreadLife is how long a fill without readers continues if nobody needs what it holds and more than unreadRest bytes
	// are missing.
	unreadLife = time.Minute
	unreadRest = 1 << 30
)

// Owner is the fill that an account belongs to.
type Owner interface {
	Missing() int64 // bytes that have not arrived
	Park()          // ends the fill with its state in the bucket
	Rest()          // is Park, but begun segments may complete; called at most once
}

// Account is what one fill has of the budget, and how many readers it has.
type Account struct {
	budget *Budget
	link   *link
	owner  Owner

	// The budget's lock guards the rest.
	slots    int
	incoming int64 // bytes of memory of incomplete segments
	large    int64 // of these, in segments larger than usual
	entries  int

	readers int
	left    time.Time // when the last reader left
	late    *time.Timer
	parked  bool
}

// Open waits for a place for a fill from an upstream with that many slots. The caller counts as a reader. Error: ErrBusy.
func (b *Budget) Open(ctx context.Context, upstream string, slots int) (*Account, error) {
	a := b.newAccount(upstream, slots)
	if err := a.Hold().Wait(ctx, Need{place: true}); err != nil {
		a.Close()
		return nil, fmt.Errorf("%w: there are %d: %w", ErrBusy, MaxFills, err)
	}
	return a, nil
}

// TryOpen is Open without the wait. It returns nil if there is no place.
func (b *Budget) TryOpen(upstream string, slots int) *Account {
	a := b.newAccount(upstream, slots)
	if !a.Hold().Try(Need{place: true}) {
		return nil
	}
	return a
}

func (b *Budget) newAccount(upstream string, slots int) *Account {
	b.mu.Lock()
	defer b.mu.Unlock()
	return &Account{budget: b, link: b.linkTo(upstream, slots), readers: 1}
}

// Assign names the fill of the account. Call it before others can use the account.
func (a *Account) Assign(owner Owner) { a.owner = owner }

// Budget returns the budget that the account is part of.
func (a *Account) Budget() *Budget { return a.budget }

// Close gives the place back. All holds must have been released.
func (a *Account) Close() {
	b := a.budget
	b.mu.Lock()
	delete(b.accounts, a)
	b.entries += a.entries
	a.entries = 0
	if a.late != nil {
		a.late.Stop()
	}
	b.mu.Unlock()
	b.settle()
}

// count adds memory of incomplete segments. The caller holds the lock.
func (a *Account) count(n int64, large bool) {
	a.incoming += n
	a.link.incoming += n
	if large {
		a.large += n
		a.budget.large.incoming += n
	}
}

// Arrived records that a segment of n bytes is complete, or given up.
func (a *Account) Arrived(n int64) {
	a.budget.mu.Lock()
	a.count(-n, a.budget.isLarge(n))
	a.budget.mu.Unlock()
	a.budget.settle()
}

// Enter counts a reader. It returns false if the fill is about to end for lack of readers.
func (a *Account) Enter() bool {
	a.budget.mu.Lock()
	defer a.budget.mu.Unlock()
	if a.parked {
		return false
	}
	a.readers++
	return true
}

// Leave is the counterpart of Enter and of opening the account.
func (a *Account) Leave() {
	b := a.budget
	b.mu.Lock()
	defer b.mu.Unlock()
	a.readers--
	if _, running := b.accounts[a]; a.readers > 0 || a.parked || !running {
		return
	}
	a.left = time.Now()
	if a.late != nil {
		a.late.Stop()
	}
	a.late = time.AfterFunc(unreadGrace, func() {
		b.settle()
		b.mu.Lock()
		defer b.mu.Unlock()
		if _, running := b.accounts[a]; running && a.isUnread(time.Now()) {
			a.late = time.AfterFunc(unreadLife-unreadGrace, a.retire)
		}
	})
}

// retire parks a long fill that nobody has read for long.
func (a *Account) retire() {
	long := a.owner.Missing() > unreadRest
	a.budget.mu.Lock()
	_, running := a.budget.accounts[a]
	retires := long && running && !a.parked && a.readers == 0 && time.Since(a.left) >= unreadLife
	a.parked = a.parked || retires
	a.budget.mu.Unlock()
	if retires {
		a.owner.Rest()
	}
}

// Parked reports whether the budget has ended the fill.
func (a *Account) Parked() bool {
	a.budget.mu.Lock()
	defer a.budget.mu.Unlock()
	return a.parked
}

// HasReaders reports whether somebody reads the fill.
func (a *Account) HasReaders() bool {
	a.budget.mu.Lock()
	defer a.budget.mu.Unlock()
	return a.readers > 0
}

// isRead reports whether the fill has a reader, or had one within unreadGrace. The caller holds the lock.
func (a *Account) isRead(now time.Time) bool { return a.readers > 0 || now.Sub(a.left) < unreadGrace }

func (a *Account) isUnread(now time.Time) bool { return !a.isRead(now) }

// parkFor chooses unread fills that hold what readers of other fills wait for, the longest unread first. The caller holds
// the lock.
func (b *Budget) parkFor(short *shortages, now time.Time) []*Account {
	if len(short.of) == 0 {
		return nil
	}
	var unread []*Account
	leaving := map[*Account]bool{}
	for a := range b.accounts {
		if a.parked {
			leaving[a] = true
		} else if a.isUnread(now) {
			unread = append(unread, a)
		}
	}
	slices.SortFunc(unread, func(x, y *Account) int { return x.left.Compare(y.left) })
	var parked []*Account
	for lacks, claims := range short.of {
		for _, c := range claims {
			helps := func(a *Account) bool { return a.has(lacks, c.hold.account.link) }
			if a := anyOf(leaving, helps); a != nil {
				delete(leaving, a) // one for each claim
				continue
			}
			i := slices.IndexFunc(unread, helps)
			if i < 0 {
				continue
			}
			unread[i].parked = true
			parked = append(parked, unread[i])
			unread = slices.Delete(unread, i, i+1)
		}
	}
	return parked
}

// anyOf returns one of the accounts that helps, or nil.
func anyOf(accounts map[*Account]bool, helps func(*Account) bool) *Account {
	for a := range accounts {
		if helps(a) {
			return a
		}
	}
	return nil
}

// has reports whether the end of a fill frees what a link lacks. The caller holds the lock.
func (a *Account) has(lacks lack, l *link) bool {
	switch lacks {
	case place:
		return true
	case entries:
		return a.entries > 0
	case slot:
		return a.link == l && a.slots > 0
	case upstreamShare:
		return a.link == l && a.incoming > 0
	case largeShare:
		return a.large > 0
	case memory:
		return a.incoming > 0
	}
	return false
}
