package fill

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/mirror/fill/budget"
	"github.com/entrepot-io/entrepot/mirror/fill/growing"
	"github.com/entrepot-io/entrepot/mirror/fill/landing"
	"github.com/entrepot-io/entrepot/mirror/fill/patient"
	"github.com/entrepot-io/entrepot/mirror/fill/transfer"
)

// Source is where a blob's bytes come from.
type Source = transfer.Source

// Fill is one blob on its way to the bucket, led by this process or by another. Its methods may be called concurrently.
type Fill struct {
	Digest digest.Digest

	fills   *Fills
	blob    *growing.Blob
	store   *patient.Caller
	account *budget.Account
	source  Source
	log     *slog.Logger

	shift   *shift
	until   time.Time          // when the process freezes; zero: unknown
	closing chan struct{}      // closed when no segment may be begun any more
	stop    func()             // closes closing
	cancel  context.CancelFunc // ends the fill; its state stays in the bucket

	ended sync.Once
	next  atomic.Pointer[Fill] // replaces this one, which failed

	// Only run and what it calls use these.
	rejected bool            // what arrived is not the blob, and another place may have it
	attempt  int             // see landing.State
	refusal  error           // why the store is not worth a try; nil: it is
	writes   *landing.Writes // what this fill may write
	doubted  backend.Object  // what the store says of the blob that cannot be true; the zero value: nothing
}

func (f *Fills) newFill(d digest.Digest, source Source, a *budget.Account) *Fill {
	log := f.Log.With("digest", d.String())
	if described, ok := source.(slog.LogValuer); ok {
		log = log.With("", described)
	}
	fill := &Fill{
		Digest: d, fills: f, account: a, shift: f.shift, source: source, log: log,
		store:   &patient.Caller{Store: f.Store, Over: f.shift.over, Log: log},
		closing: make(chan struct{}),
		writes:  &landing.Writes{Abilities: f.Abilities},
	}
	fill.stop = sync.OnceFunc(func() { close(fill.closing) })
	fill.blob = growing.New(growing.Config{
		Digest: d, Key: f.Realm.Blob(d), Store: fill.store, Account: a, MustStore: f.Freezes,
		Refetch: func() growing.Refetcher {
			return transfer.NewRefetch(fill.blob, source, log, f.Metrics.retried)
		},
		Closing: fill.closing, Log: log, Unstored: f.Metrics.unstored,
	})
	return fill
}

// Size returns the size of the whole blob in bytes.
func (f *Fill) Size() int64 { return f.blob.Size() }

// Stored reports whether the blob is in the bucket.
func (f *Fill) Stored() bool { return f.blob.Stored() }

// StoredSince returns when it became known that the blob is in the bucket, and reports whether it is.
func (f *Fill) StoredSince() (time.Time, bool) { return f.blob.StoredSince() }

// Tiny reports whether all of the blob is held back until it is verified. Then waiting with Wait, or with Verified if the
// blob will not be stored, delays nothing, and reveals a failure before a response has begun.
func (f *Fill) Tiny() bool { return f.blob.Tiny() }

// Small reports whether the blob has one segment, which is verified before it is stored.
func (f *Fill) Small() bool { return f.blob.Small() }

// Open reads the blob from an offset to its end, and waits for bytes that have not arrived. If the fill fails, the reader
// returns an error before the blob's last byte. Close the reader; that does not affect the fill. It serves one goroutine.
func (f *Fill) Open(ctx context.Context, offset int64) io.ReadCloser {
	return f.blob.NewReader(ctx, offset)
}

// Wait waits until the blob is stored (nil), or returns why it will not be: the error of the fill, or ErrUnstored for a
// blob that passes through and can be read all the same.
func (f *Fill) Wait(ctx context.Context) error {
	return f.throughout(ctx, func(f *Fill) error { return f.blob.Wait(ctx) })
}

// Verified waits until the bytes are known to be right (nil), or returns why the fill failed.
func (f *Fill) Verified(ctx context.Context) error {
	return f.throughout(ctx, func(f *Fill) error { return f.blob.WaitVerified(ctx) })
}

// Missing returns how many bytes have not arrived. It is for the budget, as are Park and Rest.
func (f *Fill) Missing() int64 { return f.blob.Missing() }

// Park ends the fill as a hand-over does: its state stays in the bucket, and the next request continues from it.
func (f *Fill) Park() { f.cancel() }

// Rest is Park when nobody waits: segments that have begun may complete first. It is called once.
func (f *Fill) Rest() {
	f.stop()
	time.AfterFunc(handOver, f.Park)
}

// isClosing reports whether the fill hands over as soon as that loses nothing.
func (f *Fill) isClosing() bool { return isClosed(f.closing) }

// run brings the fill to its end.
func (f *Fill) run(ctx context.Context) {
	defer f.account.Close()
	err := leftOff(ctx, f.settle(ctx))
	if !f.blob.HasSize() {
		f.fills.forget(f)
		f.blob.FailSize(f.blame(err))
		return
	}
	f.end(err)
}

// leftOff returns the error with which a fill ends: being told to end is no failure.
func leftOff(ctx context.Context, err error) error {
	if ctx.Err() != nil && (errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)) {
		return ErrHandedOver
	}
	return err
}

// blame names the upstream whose bytes are not the blob.
func (f *Fill) blame(err error) error {
	if !errors.Is(err, ErrBadBlob) {
		return err
	}
	name, _ := f.source.Link()
	return fmt.Errorf("upstream %s: %w", name, err)
}

// end tells the readers, and lets later requests find the object or begin anew. Only the first call counts.
func (f *Fill) end(err error) {
	f.ended.Do(func() {
		if errors.Is(err, errPassed) {
			err = nil
		}
		next := f.replace(err)
		err = f.blame(err)
		if f.rejected && next == nil && isClosed(f.shift.closing) {
			err = fmt.Errorf("%w: %w", ErrHandedOver, err) // another replica finds another place
		}
		if next != nil {
			f.next.Store(next)
			f.blob.End(err, next.blob)
		} else {
			f.blob.End(err, nil)
		}
		f.fills.forget(f)
		switch {
		case errors.Is(err, ErrHandedOver) && f.account.Parked():
			f.fills.Metrics.parked.Inc()
			f.log.Info("fill parked", "size", f.Size())
		case errors.Is(err, growing.ErrUnread):
			f.log.Info("unstored blob no longer read", "size", f.Size())
		case errors.Is(err, ErrHandedOver):
			f.log.Info("fill handed over", "size", f.Size())
		case err != nil:
			f.fills.Metrics.failed.Inc()
			f.log.Error("fill failed", "size", f.Size(), "error", err)
		}
	})
}
