package mirror

import (
	"context"
	"errors"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/mirror/ability"
)

// reportWrite reports the outcome of a write to the abilities, unless the outcome says nothing about the store: the caller's
// context has ended, a condition was not met, or the store refused the object itself.
func reportWrite(ctx context.Context, abilities *ability.Abilities, purpose ability.Purpose, err error) {
	switch {
	case err == nil:
	case ctx.Err() != nil,
		errors.Is(err, backend.ErrPrecondition), errors.Is(err, backend.ErrNotFound),
		errors.Is(err, backend.ErrChecksum), errors.Is(err, backend.ErrKey):
		return
	}
	abilities.RecordWrite(ctx, purpose, err)
}
