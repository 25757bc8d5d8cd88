package s3rules

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/entrepot-io/entrepot/backend"
)

const (
	// MaxPart is S3's limit for the size of one request's body, in bytes.
	MaxPart = 5 << 30

	// maxConditional is the maximum size in bytes of a conditional request. A store may refuse the condition and close the
	// connection while a larger body is still being sent; the sender then sees a broken connection instead of the response.
	// This size fits into a socket's buffer.
	maxConditional = 16 << 10

	// emptySHA256 is the SHA-256 of no bytes.
	emptySHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
)

// Requests makes the requests of a write, one attempt each. Only Stat retries.
type Requests interface {
	// Put sends the object in one request. o.SHA256 is set.
	Put(ctx context.Context, key string, body io.Reader, size int64, o backend.PutOptions) (backend.Object, error)
	// Begin begins a multipart upload.
	Begin(ctx context.Context, key string, o backend.PutOptions) (Upload, error)
	// Stat describes an object.
	Stat(ctx context.Context, key string) (backend.Object, error)
}

// Put implements backend.Store.
//
// It sends an object in one request only with a SHA-256, by which the store can tell whether it got the right bytes. If the
// body can be rewound, Put computes it first. Other objects are sent as uploads, even with one part, since those become
// visible only on completion. Some stores (versitygw 1.8.0) keep a truncated object if the connection breaks, whatever the
// announced length.
func Put(ctx context.Context, to Requests, partSize int64, key string, body io.Reader, size int64, o backend.PutOptions) (backend.Object, error) {
	if err := backend.CheckKey(key); err != nil {
		return backend.Object{}, err
	}
	if size < 0 {
		return backend.Object{}, fmt.Errorf("put %s: invalid size %d", key, size)
	}
	if size == 0 && o.SHA256 != "" && o.SHA256 != emptySHA256 { // Ceph RGW 16.2 does not check it
		return backend.Object{}, fmt.Errorf("put %s: %w: the body is empty", key, backend.ErrChecksum)
	}
	return write(ctx, to, "put", key, size, o, func(o backend.PutOptions) (backend.Object, error) {
		src := newSource(body)
		inParts := size > partSize ||
			size > 0 && o.SHA256 == "" && !src.rewinds() ||
			size > maxConditional && o.Condition != backend.Condition{}
		if inParts {
			return sendParts(ctx, to, partSize, key, src, size, o)
		}
		return send(ctx, src, size, o.SHA256, func(body io.Reader, sha256 string) (backend.Object, error) {
			o.SHA256 = sha256
			return to.Put(ctx, key, body, size, o)
		})
	})
}

// Compose implements backend.Composer by an upload whose parts the store copies.
func Compose(ctx context.Context, to Requests, q *Quirks, key string, parts []backend.Object, o backend.PutOptions) (backend.Object, error) {
	if err := backend.CheckKey(key); err != nil {
		return backend.Object{}, err
	}
	var size int64
	for _, p := range parts {
		if err := backend.CheckKey(p.Key); err != nil {
			return backend.Object{}, err
		}
		if p.ETag.Empty() {
			return backend.Object{}, fmt.Errorf("compose %s: %w: part %s has no ETag", key, backend.ErrPrecondition, p.Key)
		}
		size += p.Size
	}
	return write(ctx, to, "compose", key, size, o, func(o backend.PutOptions) (backend.Object, error) {
		return copyParts(ctx, to, q, key, parts, o)
	})
}

// write completes the Object that do returns: with what the caller passed, and with the ETag if the response had none.
func write(
	ctx context.Context, to Requests, op, key string, size int64, o backend.PutOptions,
	do func(backend.PutOptions) (backend.Object, error),
) (backend.Object, error) {
	if o.Condition.IfMatch != "" && o.Condition.IfMatch.Empty() {
		// The SDKs would send no condition.
		return backend.Object{}, fmt.Errorf("%s %s: %w: If-Match has no ETag", op, key, backend.ErrPrecondition)
	}
	o.ContentType = cmp.Or(o.ContentType, "application/octet-stream")
	obj, err := do(o)
	if err != nil {
		return backend.Object{}, err
	}
	obj.Key, obj.Size, obj.ContentType, obj.Metadata = key, size, o.ContentType, o.Metadata
	if obj.ETag.Empty() {
		if obj.ETag, err = askETag(ctx, to, key, size); err != nil {
			return backend.Object{}, fmt.Errorf("%s %s: stored, but the response has no ETag: %w", op, key, err)
		}
	}
	return obj, nil
}

// askETag returns the ETag of an object of size bytes that was just written. It is empty if the object has been replaced
// or deleted since.
func askETag(ctx context.Context, to Requests, key string, size int64) (backend.ETag, error) {
	now, err := to.Stat(ctx, key)
	switch {
	case errors.Is(err, backend.ErrNotFound) || err == nil && now.Size != size:
		return "", nil
	case err == nil && now.ETag.Empty():
		return "", fmt.Errorf("%w: objects have no ETag", backend.ErrUnable)
	}
	return now.ETag, err
}

// send passes the next size bytes of src to a request, with their SHA-256 if it is known or can be computed, and retries the
// request. An error of the body takes precedence over an error of the request.
func send[T any](ctx context.Context, src *source, size int64, sha256 string, request func(body io.Reader, sha256 string) (T, error)) (T, error) {
	body, err := src.Next(size)
	if err == nil && sha256 == "" {
		sha256, err = body.hash()
	}
	if err != nil {
		return *new(T), &backend.BodyError{Err: err}
	}
	var result T
	for tries := NewTries(ctx); ; {
		if result, err = request(body.Reader(), sha256); err == nil || !body.Again() {
			break
		}
		if err = tries.Again(err); err != nil {
			break
		}
	}
	if bodyErr := body.Finish(); bodyErr != nil {
		err = &backend.BodyError{Err: bodyErr}
	}
	return result, err
}
