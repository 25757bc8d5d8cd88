package upstream

import (
	"context"
	"hash/maphash"

	"github.com/entrepot-io/entrepot/bounded"
)

const (
	// seenStep is the number of texts to reserve memory for at a time, and seenSize the memory for one in bytes.
	seenStep = 1024
	seenSize = 32
)

// seen recognizes repeated texts by hashes that an upstream cannot predict.
type seen struct {
	room   *bounded.Hold
	seed   maphash.Seed
	hashes map[uint64]struct{}
}

func newSeen(memory *bounded.Share) *seen {
	return &seen{memory.Hold(), maphash.MakeSeed(), map[uint64]struct{}{}}
}

// add reports whether a text is new. Error: bounded.ErrFull.
func (s *seen) add(ctx context.Context, text string) (bool, error) {
	hash := maphash.String(s.seed, text)
	if _, ok := s.hashes[hash]; ok {
		return false, nil
	}
	if len(s.hashes)%seenStep == seenStep-1 {
		if err := s.room.Take(ctx, seenStep*seenSize); err != nil {
			return false, err
		}
	}
	s.hashes[hash] = struct{}{}
	return true, nil
}

func (s *seen) forget() {
	s.hashes = nil
	s.room.Release()
}
