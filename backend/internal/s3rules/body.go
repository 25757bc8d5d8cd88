package s3rules

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"sync"
)

// source is the reader passed to Put. It is cut into sections, one for each request.
type source struct {
	r    io.Reader
	seek io.Seeker // nil: each byte can be sent once
	sum  hash.Hash // of all finished sections; nil: not needed
}

// newSource returns a source that begins at r's current position.
func newSource(r io.Reader) *source {
	s := &source{r: r}
	s.seek, _ = r.(io.Seeker)
	return s
}

func (s *source) rewinds() bool { return s.seek != nil }

// Next returns the next size bytes as a section.
func (s *source) Next(size int64) (*section, error) {
	b := &section{src: s, size: size, sum: s.sum}
	if s.rewinds() {
		start, err := s.seek.Seek(0, io.SeekCurrent)
		if err != nil {
			return nil, err
		}
		b.start = start
	}
	return b, b.rehash()
}

// section is a part of a source, sent as the body of one request.
//
// net/http may still read the body of a request after its response has arrived, and does not distinguish a failed read from
// other failures. So the owner of a section ends its reads explicitly, and the section keeps the error of the caller's reader.
type section struct {
	src         *source
	start, size int64

	mu   sync.Mutex // held during reads
	at   int64      // bytes read
	sum  hash.Hash  // of the finished sections and the bytes read
	err  error      // of the caller's reader
	done bool
	turn int // the current attempt; readers of earlier ones are dead
}

// Reader returns the body to pass to an SDK. It is an io.ReadSeeker only if the caller's reader is one.
func (b *section) Reader() io.Reader {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.src.rewinds() {
		return seekable{b, b.turn}
	}
	return sequential{b, b.turn}
}

// Again prepares another attempt with a new Reader, and invalidates earlier ones, which a transport may still hold. It
// returns false if the section cannot be read again: bytes read from a stream are gone.
func (b *section) Again() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.turn++
	if b.err != nil || b.done {
		return false
	}
	if !b.src.rewinds() {
		return b.at == 0
	}
	_, err := b.rewind(0)
	return err == nil
}

// hash returns the SHA-256 of the section and rewinds it. It returns "" if the section cannot be rewound.
func (b *section) hash() (string, error) {
	if !b.src.rewinds() {
		return "", nil
	}
	sum := sha256.New()
	r := b.Reader()
	if _, err := io.Copy(sum, r); err != nil {
		return "", err
	}
	_, err := r.(io.Seeker).Seek(0, io.SeekStart)
	return hex.EncodeToString(sum.Sum(nil)), err
}

// Finish ends all reads, waits for one in progress, and returns the error of the caller's reader, if any.
func (b *section) Finish() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.done = true
	b.src.sum = b.sum
	return b.err
}

var errDone = errors.New("the request is over")

func (b *section) read(turn int, p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.done || turn != b.turn:
		return 0, errDone
	case b.err != nil:
		return 0, b.err
	case b.at == b.size:
		return 0, io.EOF
	}
	n, err := b.src.r.Read(p[:min(int64(len(p)), b.size-b.at)])
	b.at += int64(n)
	if b.sum != nil {
		b.sum.Write(p[:n])
	}
	switch {
	case b.at == b.size:
		err = nil // the section is complete; an error belongs to the bytes behind it
	case err == io.EOF:
		err = fmt.Errorf("ended after %d of %d bytes: %w", b.at, b.size, io.ErrUnexpectedEOF)
	}
	b.err = err
	return n, err
}

func (b *section) seek(turn int, offset int64, whence int) (int64, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch whence {
	case io.SeekCurrent:
		offset += b.at
	case io.SeekEnd:
		offset += b.size
	}
	switch {
	case b.done || turn != b.turn:
		return 0, errDone
	case b.err != nil:
		return 0, b.err // so that the SDK does not retry
	case offset < 0 || offset > b.size:
		return 0, fmt.Errorf("seek to %d in a body of %d bytes", offset, b.size)
	}
	return b.rewind(offset)
}

func (b *section) rewind(offset int64) (int64, error) {
	if offset == b.at {
		return b.at, nil
	}
	if _, b.err = b.src.seek.Seek(b.start+offset, io.SeekStart); b.err != nil {
		return 0, b.err
	}
	b.at = offset
	if offset == 0 {
		b.err = b.rehash()
	}
	return offset, b.err
}

// rehash resets the hash to the beginning of the section.
func (b *section) rehash() error {
	if b.src.sum == nil {
		return nil
	}
	sum, err := b.src.sum.(hash.Cloner).Clone()
	b.sum = sum
	return err
}

type sequential struct {
	b    *section
	turn int
}

func (s sequential) Read(p []byte) (int, error) { return s.b.read(s.turn, p) }

type seekable struct {
	b    *section
	turn int
}

func (s seekable) Read(p []byte) (int, error) { return s.b.read(s.turn, p) }
func (s seekable) Seek(offset int64, whence int) (int64, error) {
	return s.b.seek(s.turn, offset, whence)
}
