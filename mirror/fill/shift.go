package fill

import (
	"context"
	"sync"
	"time"
)

const (
	// handOver is how long segments may take to complete when the process ends, or the fill rests.
	handOver = 3 * time.Second
	// closeTimeout limits Close. It is longer than all that follows a hand-over, if canceled calls of the store return.
	closeTimeout = 30 * time.Second
)

// shift is the time between two hand-overs: the fills that begin in it end with it.
type shift struct {
	closing chan struct{} // closed when no segment may be begun any more
	over    chan struct{} // closed when incomplete segments are given up
	stop    func()        // closes over
	fills   map[*Fill]struct{}
	wg      sync.WaitGroup
	ended   chan struct{} // closed when nothing is left to do, in the shifts before neither
}

func newShift() *shift {
	s := &shift{
		closing: make(chan struct{}), over: make(chan struct{}), ended: make(chan struct{}),
		fills: map[*Fill]struct{}{},
	}
	s.stop = sync.OnceFunc(func() { close(s.over) })
	return s
}

// begin runs a fill in its shift. The caller holds the lock.
func (f *Fills) begin(fill *Fill) {
	ctx, cancel := context.WithCancel(context.Background())
	fill.cancel = cancel
	fill.account.Assign(fill)
	f.running[fill.Digest] = fill
	s := fill.shift
	s.fills[fill] = struct{}{}
	s.wg.Go(func() {
		defer cancel()
		go func() {
			select {
			case <-ctx.Done():
			case <-s.over:
				cancel()
			}
		}()
		fill.run(ctx)
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(s.fills, fill)
	})
}

// end makes the fills complete their segments, if that takes no longer than atMost, and give their leases back. It is
// called once, when no fill can be added any more, with the lock of the fills held.
func (s *shift) end(before *shift, atMost time.Duration) {
	close(s.closing)
	for fill := range s.fills {
		fill.stop()
	}
	late := time.AfterFunc(atMost, s.stop)
	go func() {
		defer close(s.ended)
		s.wg.Wait()
		late.Stop()
		s.stop()
		if before != nil {
			<-before.ended
		}
	}()
}

// Close lets no new fill begin and hands those under way over to other replicas: their segments are completed, if that
// takes no more than a few seconds, and their leases are given back. It returns when nothing is left to do, or when nothing
// can be done because the store hangs.
func (f *Fills) Close() {
	f.mu.Lock()
	if !f.closed {
		f.shift.end(f.before, handOver)
	}
	f.closed = true
	last := f.shift
	f.mu.Unlock()
	select {
	case <-last.ended:
	case <-time.After(closeTimeout):
		f.Log.Warn("fills left behind", "error", "the store does not answer")
	}
}

// HandOver is Close for a process that is about to be frozen and may be thawed for another request: fills may begin again
// afterwards, and while it waits. It keeps half of the time that ctx has for what follows the last segment. If something is
// still under way at the end of ctx, HandOver returns its error; another process then takes over as if this one had died.
func (f *Fills) HandOver(ctx context.Context) error {
	atMost := handOver
	if deadline, ok := ctx.Deadline(); ok {
		atMost = min(atMost, time.Until(deadline)/2)
	}
	f.mu.Lock()
	last := f.shift
	if !f.closed {
		last.end(f.before, atMost)
		f.before, f.shift = last, newShift()
	}
	f.mu.Unlock()
	select {
	case <-last.ended:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
