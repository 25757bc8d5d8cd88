package fs

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/entrepot-io/entrepot/backend"
)

// Get opens the bytes that r selects. The reader keeps the version that it opened, even if the object is replaced or
// deleted. It implements io.WriterTo such that io.Copy to a connection uses sendfile(2). The context only governs the
// opening.
func (s *Store) Get(ctx context.Context, key string, r backend.Range) (io.ReadCloser, backend.Object, error) {
	f, o, err := s.open(ctx, key)
	if err != nil {
		return nil, backend.Object{}, fail("get", key, err)
	}
	n, err := length(r, o.Size)
	if err == nil && r.Offset > 0 {
		_, err = f.Seek(r.Offset, io.SeekStart)
	}
	if err != nil {
		f.Close()
		return nil, backend.Object{}, fail("get", key, err)
	}
	return &reader{file: f, left: io.LimitedReader{R: f, N: n}}, o, nil
}

// length returns how many bytes of an object of size bytes the range selects.
func length(r backend.Range, size int64) (int64, error) {
	if r.Offset < 0 || r.Length < 0 || (r.Offset >= size && r != backend.Range{}) {
		return 0, fmt.Errorf("%w: offset %d, length %d of %d bytes", backend.ErrRange, r.Offset, r.Length, size)
	}
	if r.Length == 0 {
		return size - r.Offset, nil
	}
	return min(r.Length, size-r.Offset), nil
}

type reader struct {
	file *os.File
	left io.LimitedReader
}

func (r *reader) Read(p []byte) (int, error) {
	n, err := r.left.Read(p)
	switch {
	case err == io.EOF && r.left.N > 0:
		err = r.short()
	case err != nil && err != io.EOF:
		err = fail("read", r.file.Name(), err)
	}
	return n, err
}

// WriteTo passes w a limited *os.File, which net's connections send with sendfile(2).
func (r *reader) WriteTo(w io.Writer) (int64, error) {
	n, err := io.Copy(w, &r.left)
	if err == nil && r.left.N > 0 {
		err = r.short()
	}
	return n, err
}

// short returns the error for a file that was truncated. Its end must not look like the object's end.
func (r *reader) short() error {
	return fmt.Errorf("file store: read %s: %d bytes are missing: %w", r.file.Name(), r.left.N, io.ErrUnexpectedEOF)
}

func (r *reader) Close() error { return r.file.Close() }
