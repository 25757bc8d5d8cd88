package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/entrepot-io/entrepot/mirror/fill/budget"
	"github.com/entrepot-io/entrepot/mirror/fill/growing"
	"github.com/entrepot-io/entrepot/upstream"
)

// errNoRange: the source has the bytes, and cannot give those from an offset on.
var errNoRange = errors.New("the source gives no ranges")

// fetchShares fetches a worker's first segment, if it has one, and then what it claims, until nothing is left or ranging
// ends.
func (t *Transfer) fetchShares(ctx, ranging context.Context, s *share) error {
	if s == nil {
		s = t.claimDue(ctx, ranging)
	}
	defer func() { t.release(s) }()
	for s != nil && ctx.Err() == nil && !t.oneStream.Load() && !t.isClosing() {
		err := t.fetchShare(ctx, ranging, s)
		t.release(s)
		if s = s.next; err != nil {
			return err
		}
		if s == nil {
			s = t.claimDue(ctx, ranging)
		}
	}
	return ctx.Err()
}

// claimDue is claim, except that it waits until the readers of a blob that passes through come near what is left.
func (t *Transfer) claimDue(ctx, ranging context.Context) *share {
	for {
		left, due, changed := t.Blob.Unclaimed()
		if s := t.claim(); s != nil {
			return s
		}
		if !left || due || !t.mayBegin() || t.oneStream.Load() {
			return nil
		}
		done := t.Activity.Waits()
		select {
		case <-ctx.Done():
		case <-ranging.Done():
		case <-t.Blob.Closing:
		case <-changed:
		}
		done()
		if ctx.Err() != nil {
			return nil
		}
	}
}

// fetchShare lands a segment. A connection that breaks or stalls is replaced at the byte where it stopped.
func (t *Transfer) fetchShare(ctx, ranging context.Context, s *share) error {
	defer context.AfterFunc(ctx, s.cancel)()
	began := time.Now()
	var tries tries
	for landed := int64(0); landed < t.Blob.Length(s.n) && (landed > 0 || !t.isClosing()); {
		n, err := t.fetchOnce(ctx, ranging, s, landed)
		if landed += n; err == nil {
			continue
		}
		// What waits for a slot must not keep one from others that wait.
		t.release(s.next)
		s.next = nil
		if errors.Is(err, errNoRange) {
			t.oneStream.Store(true)
			t.stopRanging()
		}
		if t.oneStream.Load() && !errors.Is(err, growing.ErrBadBlob) {
			break
		}
		if ctx.Err() == nil {
			t.doubtPart(s.part, &tries, n, err)
		}
		if err := t.retries.again(ctx, s.hold, &tries, n, err); err != nil {
			return err
		}
	}
	t.pace.Store(int64(time.Since(began)))
	return nil
}

// fetchOnce lands what one request brings of a segment that has landed so far, and returns how many bytes that were. It
// begins no segment when the fill is closing.
func (t *Transfer) fetchOnce(ctx, ranging context.Context, s *share, landed int64) (int64, error) {
	s.part = nil
	at, end := t.Blob.Start(s.n)+landed, t.Blob.Start(s.n)+t.Blob.Length(s.n)
	got, err := t.respond(ctx, ranging, s, at, end)
	refused := new(upstream.Error)
	switch {
	case errors.Is(err, upstream.ErrWrongRange):
		return 0, errNoRange
	case errors.As(err, &refused) && refused.Status == 416:
		return 0, fmt.Errorf("%w: it had %d bytes, and now has none at %d: %w", growing.ErrBadBlob, t.Blob.Size(), at, err)
	case err != nil:
		return 0, err
	}
	part := got.part
	s.part = part
	defer part.Body.Close()
	if landed == 0 && t.isClosing() {
		return 0, nil
	}
	if part.Offset != at || (!part.Ranged && end != t.Blob.Size()) {
		return 0, errNoRange
	}
	if part.Size >= 0 && part.Size != t.Blob.Size() {
		return 0, fmt.Errorf("%w: it had %d bytes, and now has %d", growing.ErrBadBlob, t.Blob.Size(), part.Size)
	}
	body := &foresight{response: got, left: end - at}
	body.soon = func() {
		t.pace.Store(int64(body.whole()))
		s.next = t.claimNext(ctx)
	}
	return t.landSegment(ctx, s.hold, body, s.n)
}

// respond returns the response for the missing bytes of a share. Unless a request was sent ahead, it waits for the slot and
// the memory, and sends one.
func (t *Transfer) respond(ctx, ranging context.Context, s *share, at, end int64) (response, error) {
	select {
	case <-ranging.Done():
		return response{}, ranging.Err()
	case got := <-s.response:
		if got.part != nil || got.err != nil {
			return got, got.err
		}
	}
	if !s.hold.HasSlot() {
		waited := t.Activity.Waits()
		err := s.hold.Wait(ranging, t.Blob.Need(s.n))
		waited()
		if err != nil {
			return response{}, err
		}
	}
	got := t.request(ctx, at, end)
	return got, got.err
}

// landSegment reads the rest of segment n into memory. Readers see each byte as it arrives. landSegment passes a complete
// segment to the function that stores it, and returns the number of bytes that arrived.
func (t *Transfer) landSegment(ctx context.Context, hold *budget.Hold, body io.Reader, n int) (int64, error) {
	buf, begun, err := t.Blob.Buffer(hold, n)
	if err != nil {
		return 0, err
	}
	at := begun
	for at < len(buf) {
		if ctx.Err() != nil {
			return int64(at - begun), ctx.Err()
		}
		got, err := body.Read(buf[at:])
		if got > 0 {
			t.Blob.Land(n, got)
			t.Activity.Progress()
			at += got
		}
		if err != nil && at < len(buf) {
			if err == io.EOF {
				err = errShort
			}
			return int64(at - begun), err
		}
	}
	t.Blob.Account.Arrived(int64(len(buf)))
	if t.keep != nil {
		t.keep(n, buf)
	}
	return int64(at - begun), nil
}
