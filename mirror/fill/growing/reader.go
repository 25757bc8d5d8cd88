package growing

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/mirror/fill/patient"
)

// Reader reads a blob from an offset to its end, and waits for bytes that have not arrived. If the fill fails, Read returns
// an error before the blob's last byte. It serves one goroutine. Closing it does not affect the fill.
type Reader struct {
	ctx     context.Context // of the client's request, since io.Reader takes none
	blob    *Blob
	offset  int64
	counted bool // among the account's readers
	began   bool // it has bytes

	// body is what is being read from the bucket, up to the offset end; nil while bytes come from memory.
	body io.ReadCloser
	end  int64
	// failing is since when reads from the bucket have failed; zero: they do not.
	failing time.Time
	// refetch reads from the source what has passed through, and proven what segment that is; nil: not needed so far.
	refetch Refetcher
	proven  *proven
}

// NewReader returns a reader of the blob from offset on. The size is known.
func (b *Blob) NewReader(ctx context.Context, offset int64) *Reader {
	r := &Reader{ctx: ctx, blob: b, offset: offset, counted: b.Account.Enter()}
	b.enter(r)
	return r
}

func (r *Reader) Read(p []byte) (int, error) {
	before := r.offset
	n, err := r.readNext(p)
	r.began = r.began || n > 0
	r.blob.moved(r, before)
	return n, err
}

func (r *Reader) readNext(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for {
		if r.body != nil {
			if n, err := r.readBody(p); n > 0 || err != nil {
				return n, err
			}
			continue
		}
		if r.offset >= r.blob.size {
			return 0, io.EOF
		}
		n, from, wait, err := r.blob.at(r.offset, p)
		if v := r.proven; v != nil && v.n == int(r.offset/r.blob.segSize) && v.given && wait == nil && err == nil {
			// What it has of the segment is good only with the rest from the same source.
			n, from.refetch = 0, true
			from.segment, from.end = v.n, r.blob.readable(v.n)
		}
		switch {
		case err != nil && r.moveOn():
			continue
		case err != nil:
			return 0, err
		case n > 0:
			r.hangUp()
			r.offset += int64(n)
			return n, nil
		case from.refetch:
			if n, err := r.readAgain(p, from.segment, from.end); n > 0 || err != nil {
				return n, err
			}
			continue
		case wait == nil:
			if err := r.openBody(from); err != nil {
				return 0, err
			}
			continue
		}
		select {
		case <-r.ctx.Done():
			return 0, r.ctx.Err()
		case <-wait:
		}
	}
}

// moveOn moves a reader without bytes to the blob that replaced its own, and reports whether it did.
func (r *Reader) moveOn() bool {
	r.blob.mu.RLock()
	next := r.blob.next
	r.blob.mu.RUnlock()
	if r.began || next == nil || next.AwaitSize(r.ctx) != nil || next.size != r.blob.size {
		return false
	}
	r.leave()
	r.blob, r.proven, r.refetch, r.failing = next, nil, nil, time.Time{}
	r.counted = next.Account.Enter()
	next.enter(r)
	return true
}

// stretch is a part of the blob that can be read from the bucket: the object at key has the blob's bytes from start on, and
// those before end may be read.
type stretch struct {
	key        string
	segment    int // -1: it is the blob itself
	start, end int64
	refetch    bool // it must be read from the source once more
}

// at finds the bytes at an offset: copied to p, in the bucket, at the source, or to be waited for.
func (b *Blob) at(offset int64, p []byte) (n int, from stretch, wait <-chan struct{}, err error) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if b.stored {
		return 0, stretch{key: b.Key, segment: -1, end: b.size}, nil, nil
	}
	if b.next != nil { // the bytes that are here are wrong
		return 0, stretch{}, nil, b.err
	}
	allowed := b.size
	if !b.verified {
		allowed -= min(holdBack, b.size)
	}
	index := int(offset / b.segSize)
	start := b.Start(index)
	if s := b.segments[index]; offset < allowed {
		if end := min(start+int64(s.landed), allowed); s.buf != nil && offset < end {
			return copy(p, s.buf[offset-start:end-start]), stretch{}, nil, nil
		}
		if s.buf == nil && s.stored.Key != "" && !s.gone {
			return 0, stretch{key: s.stored.Key, segment: index, start: start, end: min(start+b.Length(index), allowed)}, nil, nil
		}
		if b.unstored != nil && s.buf == nil && (s.hashed || s.sum != nil) && b.err == nil {
			return 0, stretch{segment: index, end: min(start+b.Length(index), allowed), refetch: true}, nil, nil
		}
	}
	// Report a failure only when there is nothing more to give: what has arrived may be of use, and is never all.
	return 0, stretch{}, b.changed, b.err
}

// readable returns the offset up to which segment n can be read.
func (b *Blob) readable(n int) int64 {
	b.mu.RLock()
	defer b.mu.RUnlock()
	end := b.Start(n) + b.Length(n)
	if b.verified {
		return end
	}
	return min(end, b.size-holdBack)
}

// openBody begins to read from the bucket. A segment that is gone was composed into the blob, or given up: the reader waits
// for what becomes of it.
func (r *Reader) openBody(from stretch) error {
	part := backend.Range{Offset: r.offset - from.start, Length: from.end - r.offset}
	body, found, err := r.blob.Store.Store.Get(r.ctx, from.key, part)
	if whole := r.blob.wholeOf(from); err == nil && found.Size != whole {
		body.Close()
		err = fmt.Errorf("the bucket says that it has %d bytes, and it has %d", found.Size, whole)
	}
	switch {
	case err == nil && !r.blob.give(from):
		body.Close()
		return nil
	case err == nil:
		r.hangUp()
		r.body, r.end = body, from.end
		return nil
	case from.segment >= 0 && (errors.Is(err, backend.ErrNotFound) || r.ctx.Err() == nil && r.blob.canRefetch(from.segment)):
		r.blob.mu.Lock()
		if s := &r.blob.segments[from.segment]; s.stored.Key == from.key {
			s.gone = true
		}
		r.blob.mu.Unlock()
		return nil
	}
	return r.failed(err)
}

// canRefetch reports whether a segment can be read from the source though the bucket does not give it.
func (b *Blob) canRefetch(n int) bool { return b.PassesThrough() && b.Proof(n) != nil }

// wholeOf returns the size of the object that a stretch is part of.
func (b *Blob) wholeOf(s stretch) int64 {
	if s.segment < 0 {
		return b.size
	}
	return b.Length(s.segment)
}

// give records that a reader has bytes of a segment. It returns false if another object has replaced it by now.
func (b *Blob) give(from stretch) bool {
	if from.segment < 0 {
		return true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	s := &b.segments[from.segment]
	if b.stored || s.stored.Key != from.key {
		return false
	}
	s.given = true
	return true
}

// failed returns nil if the reader should try again: at once after the bucket's first failure, later after a pause.
func (r *Reader) failed(err error) error {
	if r.ctx.Err() != nil || !patient.Passing(err) || !r.failing.IsZero() && time.Since(r.failing) > patient.Patience {
		return fmt.Errorf("read %s from the bucket: %w", r.blob.Digest, err)
	}
	if r.failing.IsZero() {
		r.failing = time.Now()
		return nil
	}
	select {
	case <-r.ctx.Done():
		return r.ctx.Err()
	case <-r.blob.Store.Over:
		return err
	case <-time.After(patient.FirstPause):
		return nil
	}
}

// readBody returns 0, nil if the stretch is at its end, or broke off and must be opened again.
func (r *Reader) readBody(p []byte) (int, error) {
	n, err := r.body.Read(p[:min(int64(len(p)), r.end-r.offset)])
	r.offset += int64(n)
	if n > 0 {
		r.failing = time.Time{}
	}
	if err == nil && r.offset < r.end {
		return n, nil
	}
	r.body.Close() // it was read to its end, or cannot be
	r.body = nil
	if r.offset < r.end {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return n, r.failed(err)
	}
	return n, nil
}

// hangUp gives up the connection to the source.
func (r *Reader) hangUp() {
	if r.refetch != nil {
		r.refetch.Close()
	}
}

// Close ends the reader.
func (r *Reader) Close() error {
	r.leave()
	if r.body == nil {
		return nil
	}
	return r.body.Close()
}

// leave counts the reader out.
func (r *Reader) leave() {
	r.hangUp()
	r.blob.leave(r)
	if r.counted {
		r.counted = false
		r.blob.Account.Leave()
	}
}
