package s3rules

import (
	"fmt"
	"io"
	"math"
	"net/http"
	"strconv"
	"strings"

	"github.com/entrepot-io/entrepot/backend"
)

const metaPrefix = "X-Amz-Meta-"

// Describe returns the object described by the header of a response to GET or HEAD.
func Describe(key string, h http.Header) (backend.Object, error) {
	o := backend.Object{Key: key, ContentType: h.Get("Content-Type")}
	o = Stamp(o, h)
	o.Modified, _ = http.ParseTime(h.Get("Last-Modified")) // zero if the store sends none
	for name, values := range h {
		if short, ok := strings.CutPrefix(name, metaPrefix); ok && len(values) > 0 {
			if o.Metadata == nil {
				o.Metadata = make(map[string]string)
			}
			o.Metadata[strings.ToLower(short)] = values[0]
		}
	}
	size := h.Get("Content-Length")
	if r := h.Get("Content-Range"); r != "" {
		_, size, _ = strings.Cut(r, "/")
	}
	n, err := strconv.ParseInt(size, 10, 64)
	if err != nil || n < 0 {
		return o, fmt.Errorf("%s: the response has no size: Content-Length %q, Content-Range %q", key, h.Get("Content-Length"), h.Get("Content-Range"))
	}
	o.Size = n
	return o, nil
}

// Stamp adds to o the ETag and the store's clock from the header of any response.
func Stamp(o backend.Object, h http.Header) backend.Object {
	if etag := backend.ETag(h.Get("ETag")); !etag.Empty() {
		o.ETag = etag
	}
	o.AsOf, _ = http.ParseTime(h.Get("Date")) // every HTTP server with a clock sends it
	return o
}

// rangeHeader returns the Range header for r, which is empty for the whole object.
func rangeHeader(r backend.Range) (string, error) {
	switch {
	case r.Offset < 0 || r.Length < 0:
		return "", fmt.Errorf("%w: offset %d, length %d", backend.ErrRange, r.Offset, r.Length)
	case r == backend.Range{}:
		return "", nil
	case r.Length == 0 || r.Length > math.MaxInt64-r.Offset:
		return fmt.Sprintf("bytes=%d-", r.Offset), nil
	}
	return fmt.Sprintf("bytes=%d-%d", r.Offset, r.Offset+r.Length-1), nil
}

// openBody returns what Get returns, from the response to a GET of r. The reader yields exactly the requested bytes or
// fails, even if the store ignores the range or the connection breaks off.
func openBody(key string, r backend.Range, h http.Header, body io.ReadCloser) (io.ReadCloser, backend.Object, error) {
	o, err := Describe(key, h)
	if err != nil {
		body.Close()
		return nil, o, err
	}
	if r.Offset >= o.Size && r != (backend.Range{}) {
		body.Close()
		return nil, o, fmt.Errorf("get %s: %w: offset %d of %d bytes", key, backend.ErrRange, r.Offset, o.Size)
	}
	want := o.Size - r.Offset
	if r.Length > 0 {
		want = min(want, r.Length)
	}
	contentRange := h.Get("Content-Range")
	if contentRange == "" && want != o.Size || contentRange != "" && !strings.HasPrefix(contentRange, fmt.Sprintf("bytes %d-%d/", r.Offset, r.Offset+want-1)) {
		body.Close()
		return nil, o, fmt.Errorf("get %s: requested %d bytes at %d of %d, but the response has Content-Range %q", key, want, r.Offset, o.Size, contentRange)
	}
	return &exact{body: body, key: key, left: want}, o, nil
}

// exact reads a body of known length and fails if it is shorter.
type exact struct {
	body io.ReadCloser
	key  string
	left int64
}

func (e *exact) Read(p []byte) (int, error) {
	if e.left == 0 {
		return 0, io.EOF
	}
	n, err := e.body.Read(p[:min(int64(len(p)), e.left)])
	e.left -= int64(n)
	switch {
	case err == nil:
	case err == io.EOF && e.left == 0:
	case err == io.EOF:
		err = marked{fmt.Errorf("read %s: %d bytes are missing: %w", e.key, e.left, io.ErrUnexpectedEOF), true}
	default:
		err = marked{fmt.Errorf("read %s: %w", e.key, err), true}
	}
	return n, err
}

func (e *exact) Close() error { return e.body.Close() }
