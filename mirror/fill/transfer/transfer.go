package transfer

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/entrepot-io/entrepot/mirror/fill/growing"
	"github.com/entrepot-io/entrepot/upstream"
)

// Config says what is transferred, and how.
type Config struct {
	Blob        *growing.Blob
	Source      Source
	Connections int           // to the source
	OpenTimeout time.Duration // until the size is known
	// Grace is how long segments may take to complete when Blob.Closing is closed. The process freezes at Until, if that is
	// not zero, so that no segment is begun that would hardly be complete by then.
	Grace    time.Duration
	Until    time.Time
	Activity *growing.Activity
	Log      *slog.Logger
	Retried  prometheus.Counter // connections that were replaced
}

// Transfer brings a blob, or what is missing of it. Run it once.
type Transfer struct {
	Config
	places  Places
	retries retries

	oneStream   atomic.Bool        // the source cannot give ranges
	stopRanging context.CancelFunc // call when the source turns out not to give ranges
	shares      []*share           // requests that Open has sent, for the first workers
	keep        func(int, []byte)  // called with each complete segment; nil: it stays in memory
	pace        atomic.Int64       // nanoseconds that the last segment took to land
}

// New returns a transfer that has requested nothing.
func New(cfg Config) *Transfer {
	return &Transfer{Config: cfg, places: PlacesOf(cfg.Source), retries: retries{cfg.Log, cfg.Retried}}
}

// Run fetches all segments that are missing. It returns early, without an error, when the fill is closing. keep is called
// with each complete segment, concurrently, unless it is nil.
func (t *Transfer) Run(ctx context.Context, keep func(n int, buf []byte)) error {
	t.keep = keep
	workers, ctx := errgroup.WithContext(ctx)
	var ranging context.Context
	ranging, t.stopRanging = context.WithCancel(ctx)
	defer t.stopRanging()
	var others sync.WaitGroup
	if !t.oneStream.Load() && t.Blob.Segments() > 1 {
		for i := 1; i < t.Connections; i++ {
			others.Add(1)
			workers.Go(func() error {
				defer others.Done()
				return t.fetchShares(ctx, ranging, t.share(i))
			})
		}
	}
	workers.Go(func() error { return t.lead(ctx, ranging, t.share(0), &others) })
	return workers.Wait()
}

// Close ends the requests that Open has sent and no worker has taken.
func (t *Transfer) Close() { abandon(t.shares...) }

// share returns what worker i begins with, nil if it must claim.
func (t *Transfer) share(i int) *share {
	if i < len(t.shares) {
		return t.shares[i]
	}
	return nil
}

// lead is the first worker. It fetches what it claims, like the others, and alone what is left if the source turns out to
// give no ranges.
func (t *Transfer) lead(ctx, ranging context.Context, own *share, others *sync.WaitGroup) error {
	if t.Blob.Size() == 0 {
		t.oneStream.Store(true) // an empty blob has no range
	}
	if !t.oneStream.Load() {
		if err := t.fetchShares(ctx, ranging, own); err != nil {
			return err
		}
		others.Wait()
	}
	if t.oneStream.Load() && !t.Blob.Complete() {
		var part *upstream.Part
		hold := t.Blob.Account.Hold()
		if own != nil {
			part, hold = (<-own.response).part, own.hold
		}
		defer hold.Release()
		return t.fetchStream(ctx, hold, part)
	}
	return nil
}

// isClosing reports whether no segment may be begun any more.
func (t *Transfer) isClosing() bool {
	select {
	case <-t.Blob.Closing:
		return true
	default:
		return false
	}
}

// mayBegin reports whether another segment may be begun.
func (t *Transfer) mayBegin() bool { return !t.isClosing() && !t.IsLate() }

// haste is how many times as long as the last one a segment is expected to take, if it must be complete in time.
const haste = 1.25

// IsLate reports whether a segment would hardly be complete before the process freezes.
func (t *Transfer) IsLate() bool {
	if t.Until.IsZero() {
		return false
	}
	takes := time.Duration(t.pace.Load())
	if takes == 0 {
		takes = t.Grace // nothing is known yet
	}
	// Count on half of the grace: each segment that is not begun costs clients a redirect sooner.
	return time.Until(t.Until)+t.Grace/2 < time.Duration(haste*float64(takes))
}
