package upstream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/opencontainers/go-digest"
)

// Blob is one blob of an upstream. Parts of it can be fetched separately. The upstream's redirect to its storage is
// followed once, and further parts are fetched from there until that URL expires. Its methods may be called concurrently.
type Blob struct {
	registry *Registry
	repo     Repository
	digest   digest.Digest

	mu sync.Mutex
	choice
	located *location     // nil if the next request goes to the registry
	asking  chan struct{} // closed when the registry has redirected or answered; nil if no request is in progress
}

// Blob returns a blob without sending a request.
func (r *Registry) Blob(repo Repository, d digest.Digest) *Blob {
	return &Blob{registry: r, repo: repo, digest: d}
}

// Repository returns the full name of the blob's repository.
func (b *Blob) Repository() string { return b.repo.String() }

// LogValue returns the upstream and the repository.
func (b *Blob) LogValue() slog.Value {
	return slog.GroupValue(slog.String("upstream", b.registry.name), slog.String("repository", b.repo.Path()))
}

// Part is a part of a blob in transfer, not yet verified.
type Part struct {
	Body   io.ReadCloser // fails with an *Error
	Offset int64         // of the first byte
	Size   int64         // of the whole blob in bytes; -1 if unknown
	Ranged bool          // the body is the requested range; otherwise it is the whole blob

	endpoint *endpoint // nil if another package made the part
}

// ErrWrongRange is the cause of an error if an upstream sent another range than requested.
var ErrWrongRange = errors.New("not the requested range")

// Open fetches the bytes from offset up to end; an end of 0 means the blob's. An upstream that ignores ranges sends the
// whole blob: see Part.Ranged. Each body is a download until it is closed; the caller must not exceed the number of
// downloads that Link returns. Error: *Error, with ErrWrongRange as its cause if the upstream has the blob and cannot send
// the range, and ErrBadContent if it claims an impossible size.
func (b *Blob) Open(ctx context.Context, offset, end int64) (*Part, error) {
	q := b.request(http.MethodGet)
	if offset > 0 || end > 0 {
		q.header.Set("Range", byteRange(offset, end))
	}
	resp, from, err := b.ask(ctx, q, offset)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusPartialContent {
		size := resp.ContentLength
		if size == 0 && !b.isEmpty() {
			size = -1
		}
		if err := b.checkSize(resp, size); err != nil {
			resp.Body.Close()
			return nil, err
		}
		return b.given(&Part{Body: b.body(resp), Size: size, endpoint: from}), nil
	}
	if isEncoded(resp) { // the range refers to the encoded bytes
		resp.Body.Close()
		return nil, b.bad(resp, ErrWrongRange, "%s was answered with encoded bytes", q.header.Get("Range"))
	}
	b.registry.givesRanges.Store(true)
	header := resp.Header.Get("Content-Range")
	start, size := parseContentRange(header)
	if start != offset {
		resp.Body.Close()
		return nil, b.bad(resp, ErrWrongRange, "%s was answered with %q", q.header.Get("Range"), printable(header, 100))
	}
	if err := b.checkSize(resp, size); err != nil {
		resp.Body.Close()
		return nil, err
	}
	return b.given(&Part{Body: b.body(resp), Offset: start, Size: size, Ranged: true, endpoint: from}), nil
}

// blobBody is a body that fails with an *Error.
type blobBody struct {
	io.ReadCloser
	registry, endpoint string
}

func (b *Blob) body(resp *http.Response) io.ReadCloser {
	return blobBody{resp.Body, b.registry.name, printable(resp.Request.URL.Host, 100)}
}

func (b blobBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && err != io.EOF {
		err = &Error{Registry: b.registry, Endpoint: b.endpoint, Err: brief(err)}
	}
	return n, err
}

// MaxBlob is the largest size of a blob in bytes: S3 stores no larger object.
const MaxBlob = 5 << 40

// checkSize rejects an impossible size.
func (b *Blob) checkSize(resp *http.Response, size int64) error {
	if size <= MaxBlob {
		return nil
	}
	return &Error{Registry: b.registry.name, Endpoint: resp.Request.URL.Host, Status: resp.StatusCode,
		Err: fmt.Errorf("%w: blob %s of %s claims %d bytes, and no store holds more than %d (5 TiB)",
			ErrBadContent, b.digest, b.repo, size, int64(MaxBlob))}
}

// Link returns the upstream's name, and how many downloads of parts of blobs it allows at a time.
func (b *Blob) Link() (name string, downloads int) { return b.registry.name, b.registry.downloads }

// GivesRanges reports whether the upstream has sent a range of any blob so far.
func (b *Blob) GivesRanges() bool { return b.registry.givesRanges.Load() }

func hasBytes(resp *http.Response) bool {
	return ok(resp) || resp.StatusCode == http.StatusPartialContent
}

// ask sends a request to the blob's last location, or else to the registry. Concurrent calls wait only until the registry
// has redirected or answered.
func (b *Blob) ask(ctx context.Context, q request, offset int64) (*http.Response, *endpoint, error) {
	for {
		b.mu.Lock()
		at, asking := b.located, b.asking
		if at == nil && asking == nil {
			b.asking = make(chan struct{})
		}
		b.mu.Unlock()
		switch {
		case at != nil:
			if resp, err := b.fromLocation(ctx, q, offset, at); resp != nil || err != nil {
				return resp, at.endpoint, err
			}
			continue // the URL has expired
		case asking == nil:
			return b.fromRegistry(ctx, q, offset)
		}
		select {
		case <-ctx.Done():
			return nil, nil, &Error{Registry: b.registry.name, Err: ctx.Err()}
		case <-asking:
		}
		b.mu.Lock()
		elsewhere := b.located != nil
		b.mu.Unlock()
		if !elsewhere { // the registry serves the blob itself
			return b.send(ctx, q, offset)
		}
	}
}

// fromLocation sends a request to an earlier redirect's target. It returns nil and no error if the URL has expired or
// serves other content.
func (b *Blob) fromLocation(ctx context.Context, q request, offset int64, at *location) (*http.Response, error) {
	resp, err := at.endpoint.do(ctx, q.method, *at, q.repo, q.header)
	wrong := false
	if err == nil && hasBytes(resp) {
		if bad, _ := b.unlike(resp, offset); bad == nil || len(b.candidates()) == 1 {
			return resp, nil
		}
		wrong = true
		resp.Body.Close()
		resp.Body = http.NoBody
	}
	failed := b.registry.fail(at.endpoint, resp, err)
	b.mu.Lock()
	if b.located == at {
		b.located = nil // the registry may know a better URL
	}
	b.mu.Unlock()
	if wrong || failed.Status/100 == 4 && !failed.Throttled() {
		return nil, nil
	}
	return nil, failed
}

// fromRegistry sends a request to the registry, and wakes waiting calls as soon as it redirects.
func (b *Blob) fromRegistry(ctx context.Context, q request, offset int64) (*http.Response, *endpoint, error) {
	wake := sync.OnceFunc(func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		close(b.asking)
		b.asking = nil
	})
	defer wake()
	resp, from, err := b.send(withRedirects(ctx, func(to location) {
		b.mu.Lock()
		b.located = &to
		b.mu.Unlock()
		wake()
	}), q, offset)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.located != nil && (err != nil || resp.Request.URL.String() != b.located.url) {
		b.located = nil // the bytes come from another URL
	}
	return resp, from, err
}

// send tries the candidate endpoints, and returns the one that responded.
func (b *Blob) send(ctx context.Context, q request, offset int64) (*http.Response, *endpoint, error) {
	var from *endpoint
	take := func(e *endpoint, resp *http.Response, others bool) error {
		if !hasBytes(resp) {
			return errStatus
		}
		if bad, misfit := b.unlike(resp, offset); bad != nil && others {
			b.turnAway(e, misfit)
			return bad
		}
		from = e
		return nil
	}
	resp, err := b.registry.sendTo(ctx, b.candidates(), q, take)
	if err != nil && ctx.Err() == nil && b.forgetTold() {
		resp, err = b.registry.sendTo(ctx, b.candidates(), q, take)
	}
	return resp, from, err
}

// Size asks for the blob's size by a GET of its first byte. The errors and lengths of HEAD are unreliable. Error: *Error,
// with ErrBadContent as its cause if the upstream does not report the size.
func (b *Blob) Size(ctx context.Context) (int64, error) {
	q := b.request(http.MethodGet)
	if !b.isEmpty() {
		q.header.Set("Range", byteRange(0, 1))
	}
	resp, _, err := b.send(ctx, q, 0)
	if err != nil {
		return 0, err
	}
	if isEncoded(resp) { // the size is known only after decoding
		if !ok(resp) {
			resp.Body.Close()
			q.header.Del("Range")
			if resp, _, err = b.send(ctx, q, 0); err != nil {
				return 0, err
			}
		}
		defer resp.Body.Close()
		size, err := io.Copy(io.Discard, resp.Body)
		if err == nil && ok(resp) {
			return size, b.checkSize(resp, size)
		}
		return 0, b.bad(resp, ErrBadContent, "cannot decode blob %s of %s", b.digest, b.repo)
	}
	resp.Body.Close()
	size := resp.ContentLength // of the whole blob, if Range was ignored
	if !ok(resp) {
		_, size = parseContentRange(resp.Header.Get("Content-Range"))
	}
	if size < 0 || size == 0 && !b.isEmpty() {
		return 0, b.bad(resp, ErrBadContent, "blob %s of %s has no size", b.digest, b.repo)
	}
	return size, b.checkSize(resp, size)
}

// isEmpty reports whether the digest is that of no bytes.
func (b *Blob) isEmpty() bool { return b.digest == b.digest.Algorithm().FromString("") }

func (b *Blob) bad(resp *http.Response, err error, format string, args ...any) *Error {
	return &Error{Registry: b.registry.name, Endpoint: printable(resp.Request.URL.Host, 100), Status: resp.StatusCode,
		Err: fmt.Errorf("%w: %s", err, printable(fmt.Sprintf(format, args...), maxWords))}
}

// unlike returns why a response is clearly not the blob from offset on, or unusable, so that another endpoint is preferred.
// nil means that it may be right, which only its digest proves. misfit means that only the size contradicts the manifest's.
func (b *Blob) unlike(resp *http.Response, offset int64) (bad error, misfit bool) {
	size := resp.ContentLength
	if resp.StatusCode == http.StatusPartialContent {
		var start int64
		if start, size = parseContentRange(resp.Header.Get("Content-Range")); start != offset || isEncoded(resp) {
			return fmt.Errorf("%w: from byte %d of blob %s of %s", ErrWrongRange, offset, b.digest, b.repo), false
		}
	}
	if b.isOther(resp) {
		return fmt.Errorf("%w: not blob %s of %s", ErrBadContent, b.digest, b.repo), false
	}
	if err := b.checkSize(resp, size); err != nil {
		return err, false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.told > 0 && size >= 0 && size != b.told {
		return fmt.Errorf("%w: blob %s of %s has %d bytes, but %d in the manifest", ErrBadContent, b.digest, b.repo, size, b.told), true
	}
	return nil, false
}

// isOther reports whether a response's own headers show that it is not the blob: it is a web page, has another digest, or
// is empty.
func (b *Blob) isOther(resp *http.Response) bool {
	mediaType, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")) // empty if invalid
	said, err := ParseDigest(resp.Header.Get("Docker-Content-Digest"))
	return mediaType == "text/html" ||
		err == nil && said.Algorithm() == b.digest.Algorithm() && said != b.digest ||
		resp.ContentLength == 0 && !b.isEmpty()
}

func (b *Blob) request(method string) request {
	return request{
		method: method,
		repo:   b.repo,
		path:   "blobs/" + b.digest.String(),
		header: http.Header{},
	}
}

func byteRange(offset, end int64) string {
	if end == 0 {
		return fmt.Sprintf("bytes=%d-", offset)
	}
	return fmt.Sprintf("bytes=%d-%d", offset, end-1)
}

// parseContentRange reads the first byte and the whole size in a Content-Range, -1 for each that is missing. RFC 9110
// section 14.4.
func parseContentRange(header string) (start, size int64) {
	spec, isBytes := strings.CutPrefix(header, "bytes ")
	positions, total, _ := strings.Cut(spec, "/")
	first, _, _ := strings.Cut(positions, "-")
	number := func(s string) int64 {
		n, err := strconv.ParseUint(s, 10, 63)
		if err != nil || !isBytes {
			return -1
		}
		return int64(n)
	}
	return number(first), number(total)
}
