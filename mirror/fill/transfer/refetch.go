package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/entrepot-io/entrepot/mirror/fill/budget"
	"github.com/entrepot-io/entrepot/mirror/fill/growing"
	"github.com/entrepot-io/entrepot/upstream"
)

// idleHold is how long a refetch keeps a slot that its reader does not use, or that others wait for.
const idleHold = 10 * time.Second

// wholeHold is how long a refetch keeps a slot that others wait for if the source ignores ranges. The next try begins at
// the blob's first byte, so on a slow link equal turns would help nobody: each turn is twice as long as the last, up to
// maxWholeHold.
const (
	wholeHold    = time.Minute
	maxWholeHold = 16 * time.Minute
)

// Refetch reads bytes of a blob from its source that were here before and were evicted. Its connection counts among the
// upstream's slots and holds no memory. A connection that breaks is replaced. One that is not read from, because its client
// is slow, is given up and requested again later.
type Refetch struct {
	blob    *growing.Blob
	source  Source
	retries retries
	hold    *budget.Hold // of the slot of conn
	whole   bool         // the source gives no ranges
	tries   tries
	at      int64 // of the next byte in the blob

	mu     sync.Mutex // held while conn is opened, given up or closed
	conn   io.ReadCloser
	end    int64 // of what conn brings
	cancel context.CancelFunc
	timer  *time.Timer
	read   time.Time // when conn was last read from
	since  time.Time // when it was opened
	busy   bool      // somebody is in Read
	given  bool      // conn was given up for others
	turns  int       // how many times that happened
}

// NewRefetch returns a refetch without a connection.
func NewRefetch(blob *growing.Blob, source Source, log *slog.Logger, retried prometheus.Counter) *Refetch {
	return &Refetch{blob: blob, source: source, retries: retries{log, retried}, hold: blob.Account.Hold()}
}

// ReadAt reads bytes from offset on, and before end, which is that of a segment.
func (t *Refetch) ReadAt(ctx context.Context, p []byte, offset, end int64) (int, error) {
	for {
		n, err := t.readOnce(ctx, p, offset, end)
		if err == nil {
			if n > 0 {
				t.tries = tries{}
				return n, nil
			}
			continue
		}
		t.Close()
		if err := t.retries.again(ctx, t.hold, &t.tries, 0, err); err != nil {
			return 0, fmt.Errorf("fetch %s once more: %w", t.blob.Digest, err)
		}
	}
}

// readOnce may return 0, nil: it came closer to the offset, or was interrupted.
func (t *Refetch) readOnce(ctx context.Context, p []byte, offset, end int64) (int, error) {
	if err := t.connect(ctx, offset, end); err != nil {
		return 0, err
	}
	t.mu.Lock()
	conn := t.conn
	if conn == nil {
		t.mu.Unlock()
		return 0, nil // it was given up in this moment
	}
	t.busy = true
	t.mu.Unlock()
	if t.at < offset { // the source gives all
		p = make([]byte, min(64<<10, offset-t.at))
	}
	n, err := conn.Read(p[:min(int64(len(p)), t.end-t.at)])
	t.mu.Lock()
	t.busy, t.read = false, time.Now()
	given := t.given
	t.mu.Unlock()
	skipped := t.at < offset
	t.at += int64(n)
	switch {
	case n > 0 && skipped:
		return 0, nil
	case n > 0:
		return n, nil
	case given:
		t.Close()
		return 0, nil
	case err == nil:
		return 0, nil
	case errors.Is(err, io.EOF):
		return 0, errShort
	}
	return 0, err
}

// connect opens a connection that brings the bytes at an offset, unless there is one.
func (t *Refetch) connect(ctx context.Context, offset, end int64) error {
	t.mu.Lock()
	fits := t.conn != nil && t.at <= offset && (t.at == offset || t.whole) && t.at < t.end
	t.mu.Unlock()
	if fits {
		return nil
	}
	t.Close()
	going, cancel := context.WithCancel(ctx)
	err := t.hold.Wait(going, budget.Need{Slot: true, Refetch: true})
	var part *upstream.Part
	if err == nil {
		part, err = t.open(going, offset, end)
	}
	if err != nil {
		t.hold.ReleaseSlot()
		cancel()
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.conn, t.cancel, t.given = part.Body, cancel, false
	t.at, t.end = part.Offset, end
	if !part.Ranged {
		t.at, t.end = 0, t.blob.Size()
	}
	t.read, t.since = time.Now(), time.Now()
	t.timer = time.AfterFunc(idleHold, t.look)
	return nil
}

func (t *Refetch) open(ctx context.Context, offset, end int64) (*upstream.Part, error) {
	refused := new(upstream.Error)
	var part *upstream.Part
	var err error
	if !t.whole {
		part, err = t.source.Open(ctx, offset, end)
		if errors.Is(err, upstream.ErrWrongRange) || errors.As(err, &refused) && refused.Status == 416 {
			t.whole = true
		}
	}
	if t.whole {
		part, err = t.source.Open(ctx, 0, 0)
	}
	switch {
	case err != nil:
		return nil, err
	case part.Size >= 0 && part.Size != t.blob.Size():
		part.Body.Close()
		return nil, t.blob.Differ(fmt.Errorf("%w: it had %d bytes, and now has %d", growing.ErrBadBlob, t.blob.Size(), part.Size))
	case part.Ranged && part.Offset != offset:
		part.Body.Close()
		t.whole = true
		return nil, errNoRange
	case !part.Ranged:
		t.whole = true
	}
	return part, nil
}

// look gives up a connection that nobody reads from, or that had its turn.
func (t *Refetch) look() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.conn == nil || t.given {
		return
	}
	idle := !t.busy && time.Since(t.read) >= idleHold
	long := idleHold
	if t.whole {
		long = min(wholeHold<<min(t.turns, 10), maxWholeHold)
	}
	turn := time.Since(t.since) >= long && t.hold.Wanted()
	switch {
	case !idle && !turn:
		t.timer.Reset(idleHold / 4)
	case t.busy:
		t.given = true
		t.turns++
		t.cancel() // the reader closes it
	default:
		if turn {
			t.turns++
		}
		t.closeLocked()
	}
}

// Close gives up the connection. ReadAt opens another.
func (t *Refetch) Close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closeLocked()
}

func (t *Refetch) closeLocked() {
	if t.conn == nil {
		return
	}
	t.timer.Stop()
	t.conn.Close()
	t.cancel()
	t.conn = nil
	t.hold.ReleaseSlot()
}
