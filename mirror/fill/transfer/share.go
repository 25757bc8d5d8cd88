package transfer

import (
	"context"
	"time"

	"github.com/entrepot-io/entrepot/mirror/fill/budget"
	"github.com/entrepot-io/entrepot/mirror/fill/growing"
	"github.com/entrepot-io/entrepot/upstream"
)

// share is a segment that a worker has claimed, what it holds for it, and the response to a request that was sent ahead.
type share struct {
	n        int
	hold     *budget.Hold
	response chan response      // yields neither part nor error if nothing was requested
	cancel   context.CancelFunc // ends the request, and its body
	part     *upstream.Part     // of the last request; nil: none
	next     *share             // what the worker goes on with; nil: it must claim
}

// response is the outcome of a request to the source: a part or an error.
type response struct {
	part *upstream.Part
	err  error
	came time.Time     // when the headers arrived
	took time.Duration // from the request until then
}

func (t *Transfer) request(ctx context.Context, begin, end int64) response {
	sent := time.Now()
	part, err := t.Source.Open(ctx, begin, end)
	return response{part, err, time.Now(), time.Since(sent)}
}

// responded returns a share whose response is here. The zero response says that nothing was requested.
func responded(n int, r response, hold *budget.Hold, cancel context.CancelFunc) *share {
	s := &share{n: n, hold: hold, response: make(chan response, 1), cancel: cancel}
	s.response <- r
	close(s.response)
	return s
}

// expected returns the size that the blob should have, 0 if that is unknown or impossible.
func (t *Transfer) expected() int64 {
	source, ok := t.Source.(expecting)
	if !ok {
		return 0
	}
	if size := source.Expect(); t.Blob.CheckSize(size) == nil {
		return size
	}
	return 0
}

// requestOthers requests the first segments of all connections but the first, for a blob of that size. The response to the
// first connection shows whether the blob has that size. It requests nothing for a blob of one segment, and no more than it
// can have without a wait.
func (t *Transfer) requestOthers(ctx context.Context, size int64) (others []*share) {
	unit := t.Blob.Account.Budget().Unit()
	length := growing.SegmentLength(size, unit)
	if length > unit {
		return nil // a wrong guess would cost too much
	}
	for n := 1; n < t.Connections && int64(n)*length < size; n++ {
		begin, end := int64(n)*length, min(int64(n+1)*length, size)
		hold := t.Blob.Account.Hold()
		if !hold.Try(budget.Need{Memory: end - begin, Slot: true}) {
			break
		}
		others = append(others, t.requestAhead(ctx, n, hold, begin, end))
	}
	return others
}

// requestAhead sends the request for a segment, for which the hold has all that it takes.
func (t *Transfer) requestAhead(ctx context.Context, n int, hold *budget.Hold, begin, end int64) *share {
	s := &share{n: n, hold: hold, response: make(chan response, 1)}
	ctx, s.cancel = context.WithCancel(ctx)
	go func() {
		defer close(s.response)
		s.response <- t.request(ctx, begin, end)
	}()
	return s
}

// abandon ends the requests of shares, waits for that, and gives back what they hold.
func abandon(shares ...*share) {
	for _, s := range shares {
		s.cancel()
		if r := <-s.response; r.part != nil {
			r.part.Body.Close()
		}
		s.hold.Release()
	}
}

// release abandons a share, and lets others claim the segment if it has not arrived.
func (t *Transfer) release(s *share) {
	if s == nil {
		return
	}
	abandon(s)
	t.Blob.Unclaim(s.n)
}

// claimNext claims the segment after the present one and requests it, if it need not wait for anything.
func (t *Transfer) claimNext(ctx context.Context) *share {
	if t.oneStream.Load() {
		return nil
	}
	s := t.claim()
	if s == nil || !s.hold.Try(t.Blob.Need(s.n)) {
		t.release(s)
		return nil
	}
	return t.requestAhead(ctx, s.n, s.hold, t.Blob.Start(s.n), t.Blob.Start(s.n)+t.Blob.Length(s.n))
}

// claim claims the next segment that nobody fetches, nil if there is none or no time for it.
func (t *Transfer) claim() *share {
	if !t.mayBegin() {
		return nil
	}
	if n := t.Blob.Claim(); n >= 0 {
		return responded(n, response{}, t.Blob.Account.Hold(), func() {})
	}
	return nil
}

// foresight is a body that calls soon once, when what is left of it takes hardly longer than another response.
type foresight struct {
	response
	got, left int64
	soon      func()
}

// whole estimates how long all of the body will have taken.
func (f *foresight) whole() time.Duration {
	return time.Duration(float64(time.Since(f.came)) * float64(f.got+f.left) / float64(f.got))
}

func (f *foresight) Read(p []byte) (int, error) {
	n, err := f.part.Body.Read(p)
	f.got, f.left = f.got+int64(n), f.left-int64(n)
	// The first bytes say little about the speed.
	if f.soon != nil && err == nil && f.left > 0 && f.got >= f.left/7 {
		if rest := f.whole() - time.Since(f.came); rest < f.took*5/4 {
			f.soon()
			f.soon = nil
		}
	}
	return n, err
}
