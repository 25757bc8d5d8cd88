package growing

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding"
	"fmt"
	"hash"
)

// Proof checks that the bytes of a segment are those that it had at first. Write them to it.
type Proof struct {
	hash.Hash
	// want is what the hash must be at the segment's end: a sum, or the state of the hash over the whole blob.
	want  []byte
	state bool
	n     int
}

// Proof returns nil if nothing is known of the bytes that segment n had.
func (b *Blob) Proof(n int) *Proof {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if sum := b.segments[n].sum; sum != nil {
		return &Proof{Hash: sha256.New(), want: sum[:], n: n}
	}
	if b.states == nil || b.states[n+1] == nil || n > 0 && b.states[n] == nil {
		return nil
	}
	h := b.Digest.Algorithm().Hash()
	if n > 0 && h.(encoding.BinaryUnmarshaler).UnmarshalBinary(b.states[n]) != nil {
		return nil
	}
	return &Proof{Hash: h, want: b.states[n+1], state: true, n: n}
}

// Check returns ErrBadBlob if what was written is not the segment.
func (p *Proof) Check() error {
	got := p.Sum(nil)
	var err error
	if p.state {
		got, err = p.Hash.(encoding.BinaryMarshaler).MarshalBinary()
	}
	if err != nil || !bytes.Equal(got, p.want) {
		return fmt.Errorf("%w: segment %d is not what it was before", ErrBadBlob, p.n)
	}
	return nil
}

// proven reads a segment from the source once more. It holds the segment's last bytes back until all of them are proven.
type proven struct {
	n     int
	at    int64 // of the next byte to be read, in the blob
	proof *Proof
	tail  []byte // the segment's last bytes, which are right; nil: they have not come
	given bool   // the reader has bytes of it that are not proven
}

// readAgain reads bytes of segment n, which were here and are not any more, up to the offset allowed.
func (r *Reader) readAgain(p []byte, n int, allowed int64) (int, error) {
	b := r.blob
	start, end := b.Start(n), b.Start(n)+b.Length(n)
	if r.proven == nil || r.proven.n != n || r.offset < r.proven.at && r.proven.tail == nil {
		r.proven = &proven{n: n, at: start, proof: b.Proof(n)}
		if r.proven.proof == nil {
			return 0, b.Differ(fmt.Errorf("segment %d: %w", n, ErrGone))
		}
	}
	if r.refetch == nil {
		r.refetch = b.Refetch()
	}
	v, tail := r.proven, end-min(holdBack, b.Length(n))
	for v.at < min(r.offset, tail) { // this reader has had it
		skip := make([]byte, min(64<<10, min(r.offset, tail)-v.at))
		if _, err := v.read(r.ctx, r.refetch, skip, end); err != nil {
			return 0, err
		}
	}
	if r.offset < tail {
		got, err := v.read(r.ctx, r.refetch, p[:min(int64(len(p)), min(tail, allowed)-r.offset)], end)
		r.offset += int64(got)
		v.given = v.given || got > 0
		return got, err
	}
	if v.tail == nil {
		last := make([]byte, end-tail)
		for v.at < end {
			if _, err := v.read(r.ctx, r.refetch, last[v.at-tail:], end); err != nil {
				return 0, err
			}
		}
		if err := v.proof.Check(); err != nil {
			return 0, b.Differ(err)
		}
		v.tail, v.given = last, false
	}
	got := copy(p, v.tail[r.offset-tail:min(end, allowed)-tail])
	r.offset += int64(got)
	return got, nil
}

// read reads the segment's next bytes.
func (v *proven) read(ctx context.Context, from Refetcher, p []byte, end int64) (int, error) {
	n, err := from.ReadAt(ctx, p, v.at, end)
	v.proof.Write(p[:n])
	v.at += int64(n)
	return n, err
}
