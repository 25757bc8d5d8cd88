package mirror

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/bounded"
)

// load reads an object of at most most bytes. Errors: bounded.ErrTooLarge, with the object; bounded.ErrFull; the store's.
func (m *Mirror) load(ctx context.Context, key string, most int64) ([]byte, backend.Object, error) {
	data, object, err := m.loadInto(ctx, nil, key, most)
	if !errors.Is(err, bounded.ErrFull) {
		return data, object, err
	}
	// Wait for memory without an open request, so that the wait does not count as the store's.
	buf, err := m.Memory.Make(ctx, object.Size)
	if err != nil {
		return nil, object, err
	}
	return m.loadInto(ctx, buf, key, most)
}

// loadInto reads into buf if it is large enough. Otherwise it waits for another buffer, but only briefly.
func (m *Mirror) loadInto(ctx context.Context, buf []byte, key string, most int64) (data []byte, object backend.Object, err error) {
	err = backend.InTime(ctx, storeTimeout, func(ctx context.Context) error {
		var body io.ReadCloser
		if body, object, err = m.Store.Get(ctx, key, backend.Range{}); err != nil {
			return err
		}
		defer body.Close()
		if object.Size > most {
			return fmt.Errorf("%w: %d bytes, more than %d", bounded.ErrTooLarge, object.Size, most)
		}
		if int64(len(buf)) < object.Size {
			if buf, err = m.Memory.Make(bounded.Holding(ctx), object.Size); err != nil {
				return err
			}
		}
		data = buf[:object.Size]
		_, err = io.ReadFull(body, data)
		return err
	})
	return data, object, err
}
