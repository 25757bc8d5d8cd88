package mirror

import "iter"

// Body is the bytes of a list. It shares most of them with the cached list and other bodies.
type Body struct {
	Size   int64            // bytes
	Pieces iter.Seq[[]byte] // read-only
}

// bodyOf returns a body that consists of a head, values and a tail.
func bodyOf(head []byte, s selection, tail string) Body {
	b := Body{Pieces: func(yield func([]byte) bool) {
		if !yield(head) {
			return
		}
		for piece := range s.pieces() {
			if !yield(piece) {
				return
			}
		}
		yield([]byte(tail))
	}}
	for piece := range b.Pieces {
		b.Size += int64(len(piece))
	}
	return b
}
