package s3rules

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"

	"github.com/entrepot-io/entrepot/backend"
)

const (
	// maxWhole is the maximum size in bytes of a body that Get reads before it returns: leases, tag records, most manifests.
	maxWhole = 64 << 10

	// resumes is how many times a larger body may be resumed before progress bytes arrive. A stall counts as three.
	resumes = 4
	// progress is the number of bytes after which the count of resumes starts again.
	progress = 1 << 20
)

// Getter makes one attempt to GET an object, with a Range header if rangeHeader is not empty.
type Getter func(ctx context.Context, rangeHeader string) (http.Header, io.ReadCloser, error)

// Get implements backend.Store. If a small body breaks off, Get reads it again before it returns. If a larger body breaks
// off, the reader resumes it, unless the object has changed.
func Get(ctx context.Context, key string, r backend.Range, get Getter) (io.ReadCloser, backend.Object, error) {
	if err := backend.CheckKey(key); err != nil {
		return nil, backend.Object{}, err
	}
	if _, err := rangeHeader(r); err != nil {
		return nil, backend.Object{}, fmt.Errorf("get %s: %w", key, err)
	}
	open := func(r backend.Range) (io.ReadCloser, backend.Object, error) {
		var o backend.Object
		body, err := Retry(ctx, func() (body io.ReadCloser, err error) {
			wanted, err := rangeHeader(r)
			if err != nil {
				return nil, err
			}
			header, content, err := get(ctx, wanted)
			if err != nil {
				return nil, err
			}
			if body, o, err = openBody(key, r, header, content); err == nil {
				body, err = whole(body)
			}
			return body, err
		})
		return body, o, err
	}
	body, o, err := open(r)
	if err != nil {
		return nil, o, err
	}
	rest, ok := body.(*exact)
	if !ok {
		return body, o, nil
	}
	return &resumed{
		ctx: ctx, object: o, open: open, body: rest, rest: backend.Range{Offset: r.Offset, Length: rest.left}, left: resumes,
	}, o, nil
}

// whole reads a small body into memory, so that the caller never meets a broken connection.
func whole(body io.ReadCloser) (io.ReadCloser, error) {
	e := body.(*exact)
	if e.left > maxWhole {
		return body, nil
	}
	defer body.Close()
	data := make([]byte, e.left)
	if _, err := io.ReadFull(body, data); err != nil {
		return nil, retryable{err, attemptsWithoutResponse("get", err)}
	}
	return io.NopCloser(bytes.NewReader(data)), nil
}

// resumed is a body that continues over a new connection when the connection breaks.
type resumed struct {
	ctx    context.Context
	object backend.Object
	open   func(backend.Range) (io.ReadCloser, backend.Object, error)

	mu     sync.Mutex // guards body and closed, since Close may interrupt a Read
	body   io.ReadCloser
	closed bool

	rest backend.Range // still to be read
	came int64         // bytes since the last resume
	left int           // remaining resumes
}

func (r *resumed) Read(p []byte) (int, error) {
	for {
		if r.rest.Length == 0 {
			return 0, io.EOF
		}
		n, err := r.body.Read(p)
		r.rest.Offset += int64(n)
		r.rest.Length -= int64(n)
		if r.came += int64(n); r.came >= progress {
			r.left = resumes
		}
		if err != nil && r.rest.Length > 0 {
			if err := r.resume(err); err != nil {
				return n, err
			}
		}
		if n > 0 || len(p) == 0 {
			return n, nil
		}
	}
}

// resume opens the rest of the body. If it cannot, it returns the error for the reader.
func (r *resumed) resume(broken error) error {
	r.left--
	if errors.Is(broken, backend.ErrLate) {
		r.left -= 2
	}
	etag := r.object.ETag
	if r.isClosed() || r.ctx.Err() != nil || r.left < 0 || etag == "" || strings.HasPrefix(string(etag), "W/") {
		return broken
	}
	body, now, err := r.open(r.rest)
	if err != nil {
		return marked{fmt.Errorf("%w; it cannot be resumed: %w", broken, err), backend.Transient(err)}
	}
	// Compare here instead of sending If-Match: some stores refuse the right one.
	if now.ETag != etag || now.Size != r.object.Size {
		body.Close()
		return fmt.Errorf("%w; it cannot be resumed: the object has changed", broken)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.body.Close()
	r.body, r.came = body, 0
	if r.closed {
		r.body.Close()
		return broken
	}
	return nil
}

func (r *resumed) isClosed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.closed
}

func (r *resumed) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	return r.body.Close()
}
