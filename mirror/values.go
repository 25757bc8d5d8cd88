package mirror

import (
	"errors"
	"iter"

	"github.com/entrepot-io/entrepot/bounded"
)

// values are JSON values in one buffer, separated by commas. Pages are slices of that buffer.
type values []byte

// valuesIn returns the elements of a JSON array as a slice of it; nil if it is null.
func valuesIn(array bounded.JSON) (values, error) {
	switch {
	case array.IsNull():
		return nil, nil
	case !array.IsArray():
		return nil, errors.New("it is not an array")
	}
	return values(array[1 : len(array)-1]), nil
}

// all yields each value with the offset of its end.
func (v values) all() iter.Seq2[int, []byte] {
	return func(yield func(int, []byte) bool) {
		begin, depth, quoted := 0, 0, false
		for i := 0; i < len(v); i++ {
			switch c := v[i]; {
			case quoted && c == '\\':
				i++
			case c == '"':
				quoted = !quoted
			case quoted:
			case c == '{', c == '[':
				depth++
			case c == '}', c == ']':
				depth--
			case c == ',' && depth == 0:
				if !yield(i, v[begin:i:i]) {
					return
				}
				begin = i + 1
			}
		}
		if begin < len(v) {
			yield(len(v), v[begin:])
		}
	}
}

// behind returns the values after the one that ends at an offset.
func (v values) behind(end int) values { return v[min(end+1, len(v)):] }

// selection is a filtered part of some values.
type selection struct {
	of   values
	want func(value []byte) bool // nil means all
}

func (s selection) all() iter.Seq2[int, []byte] {
	return func(yield func(int, []byte) bool) {
		for end, value := range s.of.all() {
			if (s.want == nil || s.want(value)) && !yield(end, value) {
				return
			}
		}
	}
}

// cut returns the first n values, or all, as far as they fit in room. last is the last of them, or nil if no value follows.
func (s selection) cut(n int, room *room) (part selection, last []byte) {
	if n == all && !room.limited {
		return s, nil
	}
	taken, to := 0, 0
	for end, value := range s.all() {
		if taken == n || !room.take(len(value), taken == 0) {
			return selection{s.of[:to], s.want}, last
		}
		taken, to, last = taken+1, end, value
	}
	return s, nil
}

// pieces yields the values with their commas.
func (s selection) pieces() iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		if s.want == nil {
			_ = len(s.of) == 0 || yield(s.of)
			return
		}
		first := true
		for _, value := range s.all() {
			if !first && !yield([]byte(",")) || !yield(value) {
				return
			}
			first = false
		}
	}
}
