package transfer

import (
	"errors"
	"fmt"

	"github.com/entrepot-io/entrepot/upstream"
)

// A source may get the blob from several places, and one of them may send other bytes. The hash of the whole blob shows
// that. Then the fill rejects the place, and a new fill starts at once with another one. Readers without bytes move to the
// new fill and notice nothing. Readers that have bytes end short.

// Places is an optional interface of sources with several places.
type Places interface {
	// Fits reports whether the blob may have the size that came with a part. If not, the next part comes from another place.
	Fits(p *upstream.Part, size int64) bool
	// Doubt records that a part brought nothing useful. It reports whether the next part comes from another place.
	Doubt(p *upstream.Part) bool
	// Reject records that the parts so far do not add up to the blob. It reports whether a place is left whose bytes may.
	Reject() bool
	// Doubted returns the names of doubted places. DoubtAlso adds those that another process doubts.
	Doubted() []string
	DoubtAlso(names []string)
}

// PlacesOf returns the places of a source. A source without the interface has one place.
func PlacesOf(source Source) Places {
	if places, ok := source.(Places); ok {
		return places
	}
	return onePlace{}
}

type onePlace struct{}

func (onePlace) Fits(*upstream.Part, int64) bool { return true }
func (onePlace) Doubt(*upstream.Part) bool       { return false }
func (onePlace) Reject() bool                    { return false }
func (onePlace) Doubted() []string               { return nil }
func (onePlace) DoubtAlso([]string)              {}

// errElsewhere: the first bytes are unusable, and the source has another place.
var errElsewhere = errors.New("trying another endpoint")

// elsewhere logs that the blob will come from another place. The error wraps errElsewhere and why.
func (t *Transfer) elsewhere(why error) error {
	t.Log.Info("trying another endpoint", "error", why)
	return fmt.Errorf("%w: %w", errElsewhere, why)
}

// Reject tells the source that the bytes so far are wrong. It reports whether another place is left.
func (t *Transfer) Reject(why error) bool {
	if !t.places.Reject() {
		return false
	}
	_ = t.elsewhere(why) // for the log
	return true
}

// manyBreaks is the number of parts that may break after some bytes before the source tries another place.
const manyBreaks = 3

// doubtPart reports a part that broke after n bytes to the source if the place is to blame. The first break may be the
// connection's fault, unless the part ended properly and too early.
func (t *Transfer) doubtPart(part *upstream.Part, tries *tries, n int64, err error) {
	if part == nil {
		return
	}
	tries.breaks++
	useless := n == 0 && (errors.Is(err, errShort) || tries.failures > 0)
	if !useless && tries.breaks < manyBreaks {
		return
	}
	tries.breaks = 0
	if t.places.Doubt(part) {
		_ = t.elsewhere(err) // for the log: the transfer continues where it stopped
	}
}
