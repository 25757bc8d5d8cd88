package landing

import (
	"context"
	"fmt"
	"io"

	"github.com/entrepot-io/entrepot/backend"
)

// partsReader reads objects one after the other, each in the version that was hashed, for stores that cannot compose them.
// Unlike a growing.Reader it waits for nothing: a missing object is an error.
type partsReader struct {
	ctx   context.Context // since io.Reader takes none
	store backend.Store
	left  []backend.Object
	body  io.ReadCloser // of the object before those left; nil: none
}

func (r *partsReader) Read(p []byte) (int, error) {
	for {
		if r.body == nil {
			if len(r.left) == 0 {
				return 0, io.EOF
			}
			if err := r.next(); err != nil {
				return 0, err
			}
		}
		n, err := r.body.Read(p)
		if err == io.EOF {
			err = r.Close()
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
}

func (r *partsReader) next() error {
	part := r.left[0]
	body, found, err := r.store.Get(r.ctx, part.Key, backend.Range{})
	if err != nil {
		return err
	}
	r.left, r.body = r.left[1:], body
	if !found.ETag.Same(part.ETag) {
		return fmt.Errorf("%s: %w", part.Key, backend.ErrPrecondition)
	}
	return nil
}

func (r *partsReader) Close() error {
	if r.body == nil {
		return nil
	}
	body := r.body
	r.body = nil
	return body.Close()
}
