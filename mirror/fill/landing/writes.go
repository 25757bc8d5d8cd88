package landing

import (
	"context"
	"slices"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/mirror/ability"
	"github.com/entrepot-io/entrepot/mirror/fill/patient"
)

// Writes decides which kinds of writes a fill tries, and reports their outcomes.
type Writes struct {
	Abilities *ability.Abilities
	tried     []ability.Purpose // writes that this fill may try
}

// Again returns the writes of a fill that replaces this one.
func (w *Writes) Again() *Writes { return &Writes{w.Abilities, slices.Clone(w.tried)} }

// Refusal returns why a kind of write is not worth a try, nil if it is. A fill that was once let through stays so. It is
// for one goroutine at a time.
func (w *Writes) Refusal(p ability.Purpose) error {
	if slices.Contains(w.tried, p) {
		return nil
	}
	err := w.Abilities.Writable(p)
	if err == nil {
		w.tried = append(w.tried, p)
	}
	return err
}

// Report records the outcome of a write, unless it says nothing about the store.
func (w *Writes) Report(ctx context.Context, p ability.Purpose, err error) {
	if err == nil || patient.Passing(err) || backend.IsUnwritable(err) {
		w.Abilities.RecordWrite(ctx, p, err)
	}
}
