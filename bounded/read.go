package bounded

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"sync"
)

// firstGuess is the size in bytes of the first buffer for a large body of unknown size.
const firstGuess = 1 << 20

var scratches = sync.Pool{New: func() any { return new([Small]byte) }}

// Read reads a whole body into a buffer. A size below 0 is unknown. Read waits for room like Make before it reads more than
// a small body. Errors: ErrTooLarge if the body has more than most bytes, io.ErrUnexpectedEOF if it has fewer than size,
// those of Make, and the reader's.
func (b *Budget) Read(ctx context.Context, r io.Reader, size, most int64) ([]byte, error) {
	return read(r, size, most, func(r io.Reader) ([]byte, error) { return b.readLarge(ctx, r, size, most) })
}

// read reads a small body itself and passes other bodies to large.
func read(r io.Reader, size, most int64, large func(io.Reader) ([]byte, error)) ([]byte, error) {
	switch {
	case size > most:
		return nil, tooLarge(most)
	case size > Small:
		return large(r)
	case size >= 0:
		return readExactly(r, make([]byte, size))
	}
	scratch := scratches.Get().(*[Small]byte)
	defer scratches.Put(scratch)
	n, err := fill(r, scratch[:])
	switch {
	case int64(n) > most:
		return nil, tooLarge(most)
	case err == io.EOF:
		return bytes.Clone(scratch[:n]), nil
	case err != nil:
		return nil, err
	}
	return large(io.MultiReader(bytes.NewReader(scratch[:n]), r))
}

func (b *Budget) readLarge(ctx context.Context, r io.Reader, size, most int64) ([]byte, error) {
	if size >= 0 {
		buf, err := b.Make(ctx, size)
		if err != nil {
			return nil, err
		}
		return readExactly(r, buf)
	}
	buf, err := b.Make(ctx, min(firstGuess, most+1))
	if err != nil {
		return nil, err
	}
	for n := 0; ; {
		more, err := fill(r, buf[n:])
		n += more
		switch {
		case int64(n) > most:
			return nil, tooLarge(most)
		case err == io.EOF:
			return b.trim(ctx, buf[:n]), nil
		case err != nil:
			return nil, err
		}
		if buf, err = b.grow(ctx, buf, min(2*int64(n), most+1)); err != nil {
			return nil, err
		}
	}
}

// trim returns a smaller copy of a buffer that is mostly unused, or buf itself if there is no room for the copy.
func (b *Budget) trim(ctx context.Context, buf []byte) []byte {
	if len(buf) < cap(buf)/4*3 {
		if smaller, err := b.grow(ctx, buf, int64(len(buf))); err == nil {
			return smaller
		}
	}
	return buf
}

func readExactly(r io.Reader, buf []byte) ([]byte, error) {
	switch _, err := io.ReadFull(r, buf); err {
	case nil:
		return buf, nil
	case io.EOF:
		return nil, io.ErrUnexpectedEOF
	default:
		return nil, err
	}
}

// fill reads until the buffer is full, or returns the reader's error.
func fill(r io.Reader, buf []byte) (n int, err error) {
	for n < len(buf) && err == nil {
		var more int
		more, err = r.Read(buf[n:])
		n += more
	}
	return n, err
}

// tooLarge is an ErrTooLarge about a limit in bytes.
type tooLarge int64

func (most tooLarge) Error() string { return fmt.Sprintf("larger than %d bytes", int64(most)) }

func (tooLarge) Is(target error) bool { return target == ErrTooLarge }
