package growing

import (
	"context"
	"fmt"

	"github.com/entrepot-io/entrepot/mirror/fill/budget"
)

const (
	// MaxSegments is the largest number of parts that S3 composes an object of.
	MaxSegments = 10_000
	// MaxSize is the largest object in bytes that S3 stores: 5 TiB.
	MaxSize = 5 << 40
)

// SegmentLength returns the length in bytes of all segments of a blob but the last: the configured one, or more whole MiB
// if the blob would have more than MaxSegments.
func SegmentLength(blob, configured int64) int64 {
	const mib = 1 << 20
	if blob <= 0 {
		return configured
	}
	if least := (blob-1)/MaxSegments + 1; least > configured {
		return (least + mib - 1) / mib * mib
	}
	return configured
}

// CheckSize returns ErrBadBlob for sizes that no blob can have. Such a size never leads to a segment, an allocation or a
// lease.
func CheckSize(blob int64) error {
	if blob < 0 || blob > MaxSize {
		return fmt.Errorf("%w: its size is said to be %d bytes, and a store holds at most %d (5 TiB)", ErrBadBlob, blob, int64(MaxSize))
	}
	return nil
}

// CheckSegments returns ErrTooLarge if the memory does not hold two segments, so that one can be fetched while another is
// stored. Usual segments are checked only when the program starts.
func CheckSegments(b *budget.Budget, blob, segment int64) error {
	if segment <= b.Unit() || segment <= b.Size()/2 {
		return nil
	}
	return fmt.Errorf("%w: its %d bytes take segments of %d bytes, and ENTREPOT_FILL_MEMORY (%d bytes) has to hold two: set it to %dMiB or more",
		ErrTooLarge, blob, segment, b.Size(), (2*segment-1)>>20+1)
}

// CheckSize returns an error for sizes that no blob can have, or for which there is too little memory.
func (b *Blob) CheckSize(blob int64) error {
	if err := CheckSize(blob); err != nil {
		return err
	}
	return CheckSegments(b.Account.Budget(), blob, SegmentLength(blob, b.Account.Budget().Unit()))
}

// HasSize reports whether the size is known, or will not be.
func (b *Blob) HasSize() bool {
	select {
	case <-b.sized:
		return true
	default:
		return false
	}
}

// AwaitSize waits until the size is known. The error says why it will not be.
func (b *Blob) AwaitSize(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-b.sized:
		return b.sizeError
	}
}

// SetSize waits for room for the list of segments, and sets the size. The caller holds no memory and no slot, lest others
// wait for it.
func (b *Blob) SetSize(ctx context.Context, size, length int64) error {
	if b.TrySetSize(size, length) {
		return nil
	}
	if err := b.Account.Hold().Wait(ctx, budget.Need{Entries: budget.Entries(segments(size, length))}); err != nil {
		return fmt.Errorf("%w: they have %d segments more than usual: %w", budget.ErrBusy, budget.MaxEntries, err)
	}
	b.cut(size, length)
	return nil
}

// TrySetSize is SetSize without the wait. It reports whether there was room.
func (b *Blob) TrySetSize(size, length int64) bool {
	if beyond := budget.Entries(segments(size, length)); beyond > 0 && !b.Account.Hold().Try(budget.Need{Entries: beyond}) {
		return false
	}
	b.cut(size, length)
	return true
}

// cut sets the size and cuts the blob into segments.
func (b *Blob) cut(size, length int64) {
	b.size, b.segSize = size, length
	b.segments = make([]segment, segments(size, length))
	close(b.sized)
}

// FailSize records why the size will not be known.
func (b *Blob) FailSize(err error) {
	b.sizeError = err
	close(b.sized)
}

// segments returns the number of segments of a blob: at least one.
func segments(size, length int64) int { return int(max(1, (size+length-1)/length)) }

// Size returns the size in bytes.
func (b *Blob) Size() int64 { return b.size }

// SegmentSize returns the length in bytes of all segments but the last.
func (b *Blob) SegmentSize() int64 { return b.segSize }

// Segments returns the number of segments.
func (b *Blob) Segments() int { return len(b.segments) }

// Start returns the offset of segment n in the blob.
func (b *Blob) Start(n int) int64 { return int64(n) * b.segSize }

// Length returns the length of segment n in bytes.
func (b *Blob) Length(n int) int64 { return min(b.segSize, b.size-b.Start(n)) }

// Tiny reports whether all of the blob is held back until it is verified. Then waiting for the end of the fill delays
// nothing, and reveals a failure before a response has begun.
func (b *Blob) Tiny() bool { return b.size <= holdBack }

// Small reports whether the blob has one segment, which is verified before it is stored.
func (b *Blob) Small() bool { return b.size <= b.segSize }
