package upstream

import (
	"bufio"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/klauspost/compress/zstd"

	"github.com/entrepot-io/entrepot/bounded"
)

// maxCodings limits how many times a body may be encoded.
const maxCodings = 3

// decode undoes the encodings of a response body. Requests ask for identity, which some servers ignore. It removes the
// headers about the encoded bytes, since digests, sizes and ranges refer to the decoded ones. The decoder's memory counts
// as memory for bodies.
func decode(ctx context.Context, memory *bounded.Share, resp *http.Response) error {
	var codings []string
	for _, header := range resp.Header.Values("Content-Encoding") {
		for coding := range strings.SplitSeq(header, ",") {
			coding = strings.ToLower(strings.TrimSpace(coding))
			if coding != "" && coding != "identity" && coding != "aws-chunked" {
				codings = append(codings, coding)
			}
		}
	}
	if len(codings) == 0 {
		return nil
	}
	if len(codings) > maxCodings {
		return fmt.Errorf("%w: encoded %d times", ErrBadContent, len(codings))
	}
	for _, coding := range slices.Backward(codings) {
		open, known := decoders[coding]
		if !known && resp.StatusCode/100 != 2 { // the status says enough
			resp.Body.Close()
			resp.Body = http.NoBody
			break
		}
		if !known {
			return fmt.Errorf("%w: encoded by %s, though the request asked for identity", ErrBadContent, printable(coding, 20))
		}
		resp.Body = &decodedBody{ctx: ctx, encoded: resp.Body, open: open, window: memory.Hold()}
	}
	resp.Header.Del("Content-Length")
	resp.ContentLength, resp.Uncompressed = -1, true
	return nil
}

// isEncoded reports whether a response body was encoded, so that it cannot be a requested range.
func isEncoded(resp *http.Response) bool { return resp.Uncompressed }

// decoder starts to decode a body. It reserves the memory that it needs beyond that of a connection.
type decoder func(ctx context.Context, r io.Reader, window *bounded.Hold) (io.ReadCloser, error)

var decoders = map[string]decoder{"gzip": gunzip, "x-gzip": gunzip, "deflate": inflate, "zstd": unzstd}

func gunzip(_ context.Context, r io.Reader, _ *bounded.Hold) (io.ReadCloser, error) {
	return gzip.NewReader(r)
}

// maxZstdWindow limits a decoder's window in bytes. RFC 9659 allows no larger windows on the web.
const maxZstdWindow = 8 << 20

// unzstd reserves the memory that the first frame declares. Later frames get no more.
func unzstd(ctx context.Context, r io.Reader, window *bounded.Hold) (io.ReadCloser, error) {
	buffered := bufio.NewReader(r)
	head, _ := buffered.Peek(zstd.HeaderMaxSize) // a short body may be complete, which the decoder finds out
	var frame zstd.Header
	if err := frame.Decode(head); err != nil {
		return nil, err
	}
	size := max(frame.WindowSize, zstd.MinWindowSize)
	switch {
	case frame.SingleSegment:
		size = max(frame.FrameContentSize, zstd.MinWindowSize)
	case frame.Skippable:
		size = maxZstdWindow
	}
	if size > maxZstdWindow {
		return nil, zstd.ErrWindowSizeExceeded
	}
	if err := window.Take(ctx, int64(2*size)); err != nil { // the decoder holds up to twice the window
		return nil, err
	}
	d, err := zstd.NewReader(buffered, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(size))
	if err != nil {
		return nil, err
	}
	return d.IOReadCloser(), nil
}

// inflate reads deflate in zlib's format, which RFC 9110 requires, or raw, as some servers send it.
func inflate(_ context.Context, r io.Reader, _ *bounded.Hold) (io.ReadCloser, error) {
	buffered := bufio.NewReader(r)
	head, err := buffered.Peek(2)
	if err == nil && head[0]&0x0f == 8 && (int(head[0])<<8|int(head[1]))%31 == 0 {
		return zlib.NewReader(buffered)
	}
	return flate.NewReader(buffered), nil
}

// decodedBody decodes a body while it is read. It starts with the first read, so that a response without a body, such as
// that to a HEAD, never waits.
type decodedBody struct {
	ctx     context.Context // of the request
	encoded io.ReadCloser
	open    decoder
	window  *bounded.Hold
	decoder io.ReadCloser
	err     error
}

func (b *decodedBody) Read(p []byte) (int, error) {
	if b.decoder == nil && b.err == nil {
		decoder, err := b.open(b.ctx, b.encoded, b.window)
		if err != nil {
			b.err = err
		} else {
			b.decoder = decoder // never a typed nil
		}
	}
	if b.err != nil {
		return 0, b.err
	}
	n, err := b.decoder.Read(p)
	b.err = err
	return n, err
}

func (b *decodedBody) Close() error {
	if b.decoder != nil {
		b.decoder.Close() // Read has already returned its error
		b.decoder, b.err = nil, http.ErrBodyReadAfterClose
	}
	b.window.Release()
	return b.encoded.Close()
}
