// Package intake stores content that does not come from an upstream: from archives and from other stores. An object becomes
// visible only if its bytes hash to its digest.
package intake

import (
	"context"
	"errors"
	"fmt"
	"hash"
	"io"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot-io/entrepot/backend"
)

// ErrDigest means that bytes do not hash to their digest.
var ErrDigest = errors.New("the bytes do not hash to the digest")

const (
	tries = 4 // for each object
	pause = 100 * time.Millisecond
)

// Object is content to store.
type Object struct {
	Key         string
	Digest      digest.Digest
	Size        int64  // bytes
	ContentType string // empty: application/octet-stream
	// Open opens the bytes. It is called again if the store or the bytes fail for a reason that may pass.
	Open func(context.Context) (io.ReadCloser, error)
}

// Put stores an object. Readers see all of it or none. Errors: ErrDigest, those of Open, the store's, the context's.
func Put(ctx context.Context, store backend.Store, o Object) error {
	for try := 1; ; try++ {
		err := put(ctx, store, o)
		if err == nil || try == tries || !isTransient(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause << try):
		}
	}
}

// isTransient is backend.Transient, also of the bytes, which may come from a store.
func isTransient(err error) bool {
	body := new(backend.BodyError)
	if errors.As(err, &body) {
		return backend.Transient(body.Err)
	}
	return backend.Transient(err)
}

func put(ctx context.Context, store backend.Store, o Object) error {
	body, err := o.Open(ctx)
	if err != nil {
		return err
	}
	defer body.Close()
	options := backend.PutOptions{ContentType: o.ContentType}
	if o.Digest.Algorithm() == digest.SHA256 {
		options.SHA256 = o.Digest.Encoded()
	}
	verified := NewReader(body, o.Digest, o.Size)
	if o.Size == 0 && verified.end() != io.EOF { // the store reads nothing
		return verified.end()
	}
	_, err = store.Put(ctx, o.Key, verified, o.Size, options)
	return err
}

// Reader passes on bytes, and the last of them only if all hash to a digest.
type Reader struct {
	from   io.Reader
	digest digest.Digest
	hash   hash.Hash
	left   int64
}

// NewReader returns a reader of so many bytes. It fails with ErrDigest in place of the last bytes.
func NewReader(from io.Reader, d digest.Digest, size int64) *Reader {
	return &Reader{from, d, d.Algorithm().Hash(), size}
}

func (r *Reader) Read(p []byte) (n int, err error) {
	if r.left == 0 {
		return 0, r.end()
	}
	if int64(len(p)) > r.left {
		p = p[:r.left]
	}
	n, err = r.from.Read(p)
	r.hash.Write(p[:n])
	r.left -= int64(n)
	switch {
	case r.left == 0:
		if end := r.end(); end != io.EOF {
			return 0, end
		}
		return n, nil
	case err == io.EOF:
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// end returns io.EOF if all bytes are right.
func (r *Reader) end() error {
	if digest.NewDigest(r.digest.Algorithm(), r.hash) != r.digest {
		return fmt.Errorf("%w: %s", ErrDigest, r.digest)
	}
	return io.EOF
}
