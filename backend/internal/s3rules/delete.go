package s3rules

import (
	"context"
	"errors"

	"github.com/entrepot-io/entrepot/backend"
)

// Delete implements backend.Store. It ignores a failure if there is no object, since some servers (rclone) fail to delete a
// missing object whose key is the folder of others.
func Delete(ctx context.Context, to Requests, key string, request func() error) error {
	if err := backend.CheckKey(key); err != nil {
		return err
	}
	_, err := Retry(ctx, func() (struct{}, error) { return struct{}{}, request() })
	if err == nil || errors.Is(err, backend.ErrNotFound) {
		return nil
	}
	if f, ok := errors.AsType[retryable](err); ok && f.attempts == few && ctx.Err() == nil {
		if _, ok := errors.AsType[responded](err); ok {
			if _, gone := to.Stat(ctx, key); errors.Is(gone, backend.ErrNotFound) {
				return nil
			}
		}
	}
	return err
}
