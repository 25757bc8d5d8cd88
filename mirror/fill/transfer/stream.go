package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/entrepot-io/entrepot/mirror/fill/budget"
	"github.com/entrepot-io/entrepot/mirror/fill/growing"
	"github.com/entrepot-io/entrepot/upstream"
)

// fetchStream lands what is missing from one stream of the whole blob, for sources that give no ranges. The hold has the
// part's slot.
func (t *Transfer) fetchStream(ctx context.Context, hold *budget.Hold, part *upstream.Part) error {
	var tries tries
	for !t.Blob.Complete() && !t.isClosing() {
		var err error
		if part == nil {
			part, err = t.openStream(ctx, hold)
		}
		n, from := int64(0), part
		if err == nil {
			n, err = t.streamOnce(ctx, hold, part)
		}
		part = nil
		if err == nil {
			continue
		}
		if errors.Is(err, budget.ErrGiveWay) {
			t.Log.Info("stream made way", "landed", n)
			hold.ReleaseSlot()
			continue
		}
		if errors.Is(err, growing.ErrBehind) {
			hold.Release() // others may need it while readers catch up
			waited := t.Activity.Waits()
			err := t.Blob.AwaitReaders(ctx, ctx, t.Blob.FirstIncomplete())
			waited()
			if err != nil {
				return err
			}
			continue
		}
		if ctx.Err() == nil {
			t.doubtPart(from, &tries, n, err)
		}
		if err := t.retries.again(ctx, hold, &tries, n, err); err != nil {
			return err
		}
	}
	if part != nil {
		part.Body.Close()
	}
	return ctx.Err()
}

// streamOnce reads the whole blob, skips what is here already, and returns how many bytes it landed.
func (t *Transfer) streamOnce(ctx context.Context, hold *budget.Hold, part *upstream.Part) (int64, error) {
	defer part.Body.Close()
	if part.Size >= 0 && part.Size != t.Blob.Size() {
		return 0, fmt.Errorf("%w: it had %d bytes, and now has %d", growing.ErrBadBlob, t.Blob.Size(), part.Size)
	}
	var landed int64
	for n := range t.Blob.Segments() {
		s := t.Blob.Progress(n)
		here, skip := s.Landed, s.Complete
		if !skip && !s.Buffered {
			if err := t.awaitWindow(ctx, n); err != nil || t.isClosing() {
				return landed, err
			}
			var err error
			if skip, err = t.makeRoom(ctx, hold, n); err != nil {
				return landed, err
			}
		}
		if skip {
			here = t.Blob.Length(n)
		}
		if _, err := io.CopyN(io.Discard, part.Body, here); err == io.EOF {
			return landed, errShort
		} else if err != nil {
			return landed, err
		}
		if skip {
			continue
		}
		got, err := t.landSegment(ctx, hold, part.Body, n)
		landed += got
		if err != nil || t.isClosing() {
			return landed, err
		}
	}
	// The body must end here. How it ends does not matter.
	if n, _ := io.ReadFull(part.Body, make([]byte, 1)); n > 0 {
		return landed, fmt.Errorf("%w: its body goes on after %d bytes", growing.ErrBadBlob, t.Blob.Size())
	}
	return landed, nil
}

// openStream requests the whole blob once it has a slot and the memory for the first missing segment. If some segment has
// arrived in part it needs no other memory: that segment comes first.
func (t *Transfer) openStream(ctx context.Context, hold *budget.Hold) (*upstream.Part, error) {
	first := t.Blob.Length(t.Blob.FirstIncomplete())
	if t.Blob.HasPartAfter(-1) || hold.Room() >= first {
		if !hold.HasSlot() {
			if err := hold.Wait(ctx, budget.Need{Slot: true}); err != nil {
				return nil, err
			}
		}
	} else if err := t.waitForBoth(ctx, hold, first); err != nil {
		return nil, err
	}
	return t.Source.Open(ctx, 0, 0)
}

// waitForBoth waits for a slot and the memory for n bytes. It keeps the slot that the hold has if there is memory now.
func (t *Transfer) waitForBoth(ctx context.Context, hold *budget.Hold, n int64) error {
	if hold.HasSlot() && hold.Try(budget.Need{Memory: n - hold.Room()}) {
		return nil
	}
	hold.Release()
	return hold.Wait(ctx, budget.Need{Memory: n, Slot: true})
}

// makeRoom gets the memory for segment n of a stream, or reports that the stream must skip it: segments after it that have
// arrived in part hold memory, and must be completed first.
func (t *Transfer) makeRoom(ctx context.Context, hold *budget.Hold, n int) (skip bool, err error) {
	length := t.Blob.Length(n)
	if hold.Room() >= length {
		return false, nil
	}
	lacking := budget.Need{Memory: length - hold.Room()}
	if t.Blob.HasPartAfter(n) {
		return !hold.Try(lacking), nil
	}
	return false, hold.Wait(ctx, lacking)
}

// awaitWindow waits for the readers of a blob that passes through, while the source holds a stream for them. After
// budget.MaxHold it returns growing.ErrBehind: others may need the slot more.
func (t *Transfer) awaitWindow(ctx context.Context, n int) error {
	defer t.Activity.Waits()()
	patient, cancel := context.WithTimeout(ctx, budget.MaxHold)
	defer cancel()
	return t.Blob.AwaitReaders(ctx, patient, n)
}
