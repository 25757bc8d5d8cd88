package backend

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// ErrLate means that the store did not respond in time.
var ErrLate = errors.New("the store did not respond")

// InTime runs do with a limit on how long the store may take. If the limit passes before ctx ends, the error is ErrLate,
// which callers can tell from their own deadline. It includes the text of do's error, which may name the store's last
// response.
func InTime(ctx context.Context, limit time.Duration, do func(context.Context) error) error {
	asking, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	err := do(asking)
	if err != nil && asking.Err() != nil && ctx.Err() == nil {
		return fmt.Errorf("%w within %s: %v", ErrLate, limit, err) //nolint:errorlint // callers must not decide by it
	}
	return err
}
