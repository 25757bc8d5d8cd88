package landing

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/bounded"
	"github.com/entrepot-io/entrepot/mirror/fill/budget"
	"github.com/entrepot-io/entrepot/mirror/fill/growing"
	"github.com/entrepot-io/entrepot/mirror/lease"
)

// State is what a lease says of a fill: enough to follow the leader, and to continue from. It is small whatever the blob's
// size: see runsOf.
type State struct {
	Size        int64 `json:"size,omitempty"` // 0: unknown
	SegmentSize int64 `json:"segmentSize,omitempty"`
	// Runs are the stored segments, as far as there is room. Those of the epoch that wrote the state come last; a successor
	// knows that epoch anyway, by lease.Held.Before.
	Runs   []Run  `json:"runs,omitempty"`
	Hashed int    `json:"hashed,omitempty"` // number of segments, from the first on, in Hash; all are stored
	Hash   []byte `json:"hash,omitempty"`   // encoding.BinaryMarshaler of the digest's algorithm
	Seal   []byte `json:"seal,omitempty"`   // binds Hash to the objects that were hashed: see sealOf
	// Doubts names places of the source that have sent something else than the blob. Attempt counts how often all bytes were
	// dropped for that.
	Doubts  []string `json:"doubts,omitempty"`
	Attempt int      `json:"attempt,omitempty"`

	// earlier are the stored segments in a state of an earlier version of entrepot, by number. They are not written again:
	// without their versions a follower would give its readers what the leader is about to replace.
	earlier map[int]piece
}

// Run lists the stored segments of one epoch.
type Run struct {
	Epoch string `json:"epoch"`
	N     []int  `json:"n"` // pairs: the first of consecutive segments, and their number
}

// maxRuns limits Runs in bytes of JSON, so that the state is smaller than lease.MaxState.
const maxRuns = 10 << 10

// begun reports whether the size is known, and fits the size of the segments.
func (s State) begun() bool {
	return s.Size > 0 && growing.CheckSize(s.Size) == nil && s.SegmentSize > 0 && (s.Size-1)/s.SegmentSize < growing.MaxSegments
}

// IsUsable reports whether a process with that budget can follow the state and continue from it: the state makes sense, and
// its segments fit into the memory.
func (s State) IsUsable(b *budget.Budget) bool {
	return s.begun() && min(s.Size, s.SegmentSize) <= b.Size()
}

// UnmarshalJSON also reads what earlier versions wrote: each stored segment. Their hash has no seal, and is computed anew.
func (s *State) UnmarshalJSON(data []byte) error {
	if bounded.JSON(data).IsNull() {
		return nil
	}
	rest, err := bounded.JSON(data).Without("stored", lease.MaxState)
	if err != nil {
		return err
	}
	type plain State
	if err := json.Unmarshal(rest, (*plain)(s)); err != nil || s.Runs != nil {
		return err
	}
	return bounded.JSON(data).Fields(func(name string, value bounded.JSON) error {
		if name != "stored" {
			return nil
		}
		s.earlier = map[int]piece{}
		return value.Elements(func(value bounded.JSON) error {
			var p piece
			if len(value) > maxPiece {
				return fmt.Errorf("a segment has %d bytes in the state", len(value))
			}
			if err := json.Unmarshal(value, &p); err != nil {
				return err
			}
			if p.N >= 0 && p.N < growing.MaxSegments {
				s.earlier[p.N] = p
			}
			return nil
		})
	})
}

// piece is what earlier versions wrote of a stored segment.
type piece struct {
	N     int          `json:"n"`
	Epoch string       `json:"epoch"`
	ETag  backend.ETag `json:"etag"`
}

// maxPiece limits a piece in bytes of JSON.
const maxPiece = 1024

// runsOf lists segments by their epochs; empty: it is not stored. What there is no room for is left out, first of the
// epoch that is going on, from its last segment down, and then of the others: then they are fetched again if the
// leader dies.
func runsOf(epochs []string, present string) []Run {
	var runs []Run
	room, at := maxRuns, map[string]int{}
	for _, ofPresent := range []bool{false, true} {
		for n := 0; n < len(epochs); {
			first, epoch := n, epochs[n]
			for n < len(epochs) && epochs[n] == epoch {
				n++
			}
			if epoch == "" || (epoch == present) != ofPresent {
				continue
			}
			i, known := at[epoch]
			size := len("10000,10000,")
			if !known {
				name, _ := json.Marshal(epoch) // a string never fails
				size += len(name) + len(`{"epoch":,"n":[]},`)
			}
			if room -= size; room < 0 {
				return runs
			}
			if !known {
				i = len(runs)
				at[epoch], runs = i, append(runs, Run{Epoch: epoch})
			}
			runs[i].N = append(runs[i].N, first, n-first)
		}
	}
	return runs
}

// Epochs returns the epoch of each stored segment, for a blob of that many segments; empty: it is not stored. It ignores
// what makes no sense.
func (s State) Epochs(segments int) []string {
	epochs := make([]string, segments)
	for n, p := range s.earlier {
		if n < segments {
			epochs[n] = p.Epoch
		}
	}
	for _, run := range s.Runs {
		for i := 0; i+1 < len(run.N); i += 2 {
			first, count := run.N[i], run.N[i+1]
			if first < 0 || first >= segments || count < 1 || count > segments-first {
				continue
			}
			for n := first; n < first+count; n++ {
				if epochs[n] == "" {
					epochs[n] = run.Epoch
				}
			}
		}
	}
	return epochs
}

// isReplaced reports whether a segment is another version of the object than the state names, so that a new leader replaces
// it.
func (s State) isReplaced(n int, segment backend.Object) bool {
	p, known := s.earlier[n]
	return known && !p.ETag.Same(segment.ETag)
}

// sealOf binds the state of a hash to the objects that were hashed, in their versions. A successor that finds other objects
// must hash those.
func sealOf(hash []byte, hashed []backend.Object) []byte {
	seal := sha256.New()
	fmt.Fprintf(seal, "%x\n", hash)
	for n, segment := range hashed {
		fmt.Fprintf(seal, "%d %q %q %d\n", n, epochOf(segment), segment.ETag.Unquoted(), segment.Size)
	}
	return seal.Sum(nil)
}
