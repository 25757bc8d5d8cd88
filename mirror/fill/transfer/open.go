package transfer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/entrepot-io/entrepot/mirror/fill/budget"
	"github.com/entrepot-io/entrepot/mirror/fill/growing"
	"github.com/entrepot-io/entrepot/upstream"
)

// Open finds out the blob's size and sets it. If the source has several places, it tries one after the other. Call Close
// afterwards.
func (t *Transfer) Open(ctx context.Context) error {
	for tries := 1; ; tries++ {
		err := t.openOnce(ctx)
		if !errors.Is(err, errElsewhere) || tries == maxFailures {
			return err
		}
	}
}

// openOnce requests the first segment, which tells the size. If a size is expected it requests every connection's first
// segment. Error: errElsewhere, if another place may do better.
func (t *Transfer) openOnce(ctx context.Context) error {
	account := t.Blob.Account
	unit := account.Budget().Unit()
	hold := account.Hold()
	expected := t.expected()
	if !hold.Try(budget.Need{Memory: t.firstLength(expected), Slot: true}) {
		// The first bytes may have to wait for long. The size need not.
		return t.openBySize(ctx)
	}
	// The timeout ends when the headers are here.
	opening, cancel := context.WithCancelCause(ctx)
	late := time.AfterFunc(t.OpenTimeout, func() { cancel(context.DeadlineExceeded) })
	others := t.requestOthers(ctx, expected)
	first := t.requestFirst(opening, unit)
	err := first.err
	if !late.Stop() && err == nil {
		err = context.DeadlineExceeded
	}
	shares := []*share{responded(0, first, hold, func() { cancel(nil) })}
	var size int64
	if err == nil {
		size, err = t.sizeIn(opening, first.part)
	} else if errors.Is(context.Cause(opening), context.DeadlineExceeded) {
		err = fmt.Errorf("%w: %w", context.DeadlineExceeded, err)
	}
	if err != nil {
		abandon(append(shares, others...)...)
		return err
	}
	length := growing.SegmentLength(size, unit)
	if length > unit || !t.Blob.TrySetSize(size, length) {
		// The segments are not those that were requested, or there is no room yet to list them.
		abandon(append(shares, others...)...)
		opening, cancel := context.WithTimeout(ctx, t.OpenTimeout)
		defer cancel()
		return t.Blob.SetSize(opening, size, length)
	}
	hold.Trim(t.Blob.Length(0))
	if first.part.Ranged && size == expected {
		shares = append(shares, others...)
	} else {
		abandon(others...)
	}
	t.shares = shares
	t.Blob.ClaimFirst(len(shares))
	return nil
}

// openBySize requests only the size.
func (t *Transfer) openBySize(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, t.OpenTimeout)
	defer cancel()
	size, err := t.Source.Size(ctx)
	if err != nil {
		return err
	}
	if err := t.Blob.CheckSize(size); err != nil {
		return err
	}
	return t.Blob.SetSize(ctx, size, growing.SegmentLength(size, t.Blob.Account.Budget().Unit()))
}

// firstLength returns how much memory the first segment takes of a blob that should have that size (0: unknown).
func (t *Transfer) firstLength(size int64) int64 {
	unit := t.Blob.Account.Budget().Unit()
	if size > 0 {
		return min(size, unit)
	}
	return unit
}

// requestFirst requests the first bytes, those before end, or the whole blob if the source cannot give a range.
func (t *Transfer) requestFirst(ctx context.Context, end int64) response {
	first := t.request(ctx, 0, end)
	refused := new(upstream.Error)
	if errors.Is(first.err, upstream.ErrWrongRange) || (errors.As(first.err, &refused) && refused.Status == 416) {
		t.oneStream.Store(true)
		first = t.request(ctx, 0, 0)
	}
	return first
}

// sizeIn returns the size that the first part states, or finds it out.
func (t *Transfer) sizeIn(ctx context.Context, part *upstream.Part) (size int64, err error) {
	if !part.Ranged {
		t.oneStream.Store(true)
	}
	if size = part.Size; size < 0 {
		if size, err = t.sizeOf(ctx, part); err != nil {
			if ctx.Err() == nil && t.places.Doubt(part) {
				err = t.elsewhere(err)
			}
			return 0, err
		}
	}
	if !t.places.Fits(part, size) {
		return 0, t.elsewhere(fmt.Errorf("%w: it has %d bytes, and a manifest says %d", growing.ErrBadBlob, size, Told(t.Source)))
	}
	return size, t.Blob.CheckSize(size)
}

// peekSize is how many bytes are read of a blob of unstated size, in the hope that these are all.
const peekSize = 1 << 20

// sizeOf finds out the size of a blob that comes without it.
func (t *Transfer) sizeOf(ctx context.Context, part *upstream.Part) (int64, error) {
	head, err := io.ReadAll(io.LimitReader(part.Body, peekSize))
	if err != nil {
		return 0, fmt.Errorf("read the blob's first bytes: %w", err)
	}
	part.Body = prefixed{io.MultiReader(bytes.NewReader(head), part.Body), part.Body}
	if len(head) < peekSize {
		return int64(len(head)), nil
	}
	return t.Source.Size(ctx)
}

type prefixed struct {
	io.Reader
	io.Closer
}
