package bounded

import (
	"context"
	"errors"
	"fmt"
	"io"

	"golang.org/x/sync/semaphore"
)

// Share is the part of a Budget that bodies from one source may take while they are being read. A slow source thus leaves
// room to others.
type Share struct {
	*Budget
	size int64
	room *semaphore.Weighted
}

// Share returns a Share of size bytes.
func (b *Budget) Share(size int64) *Share {
	return &Share{b, size, semaphore.NewWeighted(size)}
}

// Read is Budget.Read within the share.
func (s *Share) Read(ctx context.Context, r io.Reader, size, most int64) ([]byte, error) {
	return read(r, size, most, func(r io.Reader) ([]byte, error) {
		n := min(most, s.size)
		if size >= 0 {
			n = min(size, s.size)
		}
		if err := s.take(ctx, n); err != nil {
			return nil, err
		}
		defer s.room.Release(n)
		return s.readLarge(ctx, r, size, most)
	})
}

func (s *Share) take(ctx context.Context, n int64) error {
	waiting, cancel := context.WithTimeout(ctx, patience(ctx))
	defer cancel()
	if err := s.room.Acquire(waiting, n); err == nil {
		return nil
	}
	if errors.Is(ctx.Err(), context.Canceled) {
		return ctx.Err()
	}
	s.refused.Add(1)
	return fmt.Errorf("%w by bodies from the same upstream; retry later", ErrFull)
}
