package landing

import (
	"bytes"
	"context"
	"encoding"
	"errors"
	"slices"
	"strings"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/mirror/fill/growing"
	"github.com/entrepot-io/entrepot/mirror/layout"
)

// ErrAnew is for readers of a fill that cannot be continued.
var ErrAnew = errors.New("the fill was begun anew, and not as it was")

// State returns the state from which another process could continue now.
func (l *Landing) State() State {
	if !l.Blob.HasSize() {
		return State{}
	}
	state := State{Size: l.Blob.Size(), SegmentSize: l.Blob.SegmentSize()}
	stored := l.Blob.Objects()
	// The hash of a segment that is not stored is useless: its bytes must come again.
	state.Hashed, state.Hash = l.Blob.HashState(inOrder(stored))
	if state.Hashed > 0 {
		state.Seal = sealOf(state.Hash, stored[:state.Hashed])
	}
	epochs := make([]string, len(stored))
	for n, o := range stored {
		epochs[n] = epochOf(o)
	}
	state.Runs = runsOf(epochs, l.Epoch)
	return state
}

// inOrder returns the number of stored segments before the first that is missing.
func inOrder(stored []backend.Object) int {
	if n := slices.IndexFunc(stored, func(o backend.Object) bool { return o.Key == "" }); n >= 0 {
		return n
	}
	return len(stored)
}

// Adopt takes up what the last leader left: its segments, and the hash of those that were hashed. It deletes all other
// segments; before each delete it calls confirm, whose error ends it. before are the epochs that may have stored segments
// after the state was written. Adopt returns how many segments it adopted and how many of them are hashed. Error: ErrAnew,
// if readers have bytes of another fill.
func (l *Landing) Adopt(ctx context.Context, state State, before []string, confirm func(context.Context) error) (adopted, hashed int, err error) {
	if err := growing.CheckSegments(l.Blob.Account.Budget(), state.Size, state.SegmentSize); err != nil {
		return 0, 0, err
	}
	if !l.Blob.HasSize() {
		if err := l.Blob.SetSize(ctx, state.Size, state.SegmentSize); err != nil {
			return 0, 0, err
		}
	} else if l.Blob.Size() != state.Size || l.Blob.SegmentSize() != state.SegmentSize {
		return 0, 0, ErrAnew
	}
	a := adoption{blob: l.Blob, named: state.Epochs(l.Blob.Segments()), before: before, state: state}
	err = l.Store.Insist(ctx, func() error {
		a.objects = make([]backend.Object, l.Blob.Segments())
		return l.clear(ctx, func(o backend.Object) bool { return a.take(l.name(o), o) }, confirm)
	})
	if err != nil {
		return 0, 0, err
	}
	if n := state.Hashed; n > 0 && n <= inOrder(a.objects) && len(state.Seal) > 0 {
		if !bytes.Equal(state.Seal, sealOf(state.Hash, a.objects[:n])) {
			l.distrust(a.objects[:n])
		} else if err := l.hash.(encoding.BinaryUnmarshaler).UnmarshalBinary(state.Hash); err == nil {
			hashed = n
		} else {
			l.hash.Reset() // the segments are hashed anew
		}
	}
	if !l.Blob.Adopt(a.objects, hashed, state.Hash) {
		return 0, 0, errors.New("segments that readers may have read are gone")
	}
	l.hashed = hashed
	for _, o := range a.objects {
		if o.Key != "" {
			adopted++
		}
	}
	return adopted, hashed, nil
}

// distrust drops segments of which at least one is not the one that was hashed: they come again, unless readers have bytes
// of them.
func (l *Landing) distrust(adopted []backend.Object) {
	for n := range adopted {
		if !l.Blob.Given(n) {
			adopted[n] = backend.Object{}
		}
	}
}

// adoption chooses the segments to adopt.
type adoption struct {
	blob    *growing.Blob
	named   []string // the epochs of segments in the state
	before  []string // epochs that may have stored segments since
	state   State
	objects []backend.Object
}

// take adopts a segment that the state names, or that was stored after the state was last written. If the state names
// a version, only that one is adopted; otherwise the seal shows whether the segment was hashed.
func (a *adoption) take(name string, o backend.Object) bool {
	n, epoch, ok := layout.ParseSegment(name)
	if !ok || n >= len(a.objects) || o.Size != a.blob.Length(n) || a.objects[n].Key != "" {
		return false
	}
	if a.named[n] != "" && a.named[n] != epoch || a.named[n] == "" && !slices.Contains(a.before, epoch) {
		return false
	}
	if a.state.isReplaced(n, o) {
		return false
	}
	a.objects[n] = o
	return true
}

// name returns the name of an object in the blob's folder.
func (l *Landing) name(o backend.Object) string {
	return strings.TrimPrefix(o.Key, l.Realm.Fill(l.Blob.Digest))
}

// Discover finds the segments that another replica has stored under the named epochs (of a state) or its present one. It
// reports whether one is new. Error: growing.ErrGone, if one differs from what readers have had.
func Discover(ctx context.Context, store backend.Store, folder string, blob *growing.Blob, state State, epoch string) (landed bool, err error) {
	if !blob.HasSize() || blob.Segments() == 1 {
		return false, nil
	}
	named := state.Epochs(blob.Segments())
	found := map[int]backend.Object{}
	for object, err := range store.List(ctx, folder, blob.LastInOrder()) {
		if err != nil {
			return false, listError(err)
		}
		n, of, ok := layout.ParseSegment(strings.TrimPrefix(object.Key, folder))
		if !ok || n >= blob.Segments() || object.Size != blob.Length(n) {
			continue
		}
		if state.isReplaced(n, object) {
			continue
		}
		if of == named[n] || of == epoch {
			found[n] = object
		}
	}
	landed, differs := blob.Discover(found)
	if differs {
		return false, growing.ErrGone
	}
	return landed, nil
}
