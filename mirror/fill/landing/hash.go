package landing

import (
	"cmp"
	"context"
	"encoding"
	"errors"
	"fmt"
	"io"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/mirror/fill/growing"
	"github.com/entrepot-io/entrepot/mirror/fill/patient"
)

// HashAll hashes the segments in their order, each as soon as it is complete.
func (l *Landing) HashAll(ctx context.Context) error {
	for n := l.hashed; n < l.Blob.Segments(); n++ {
		if err := l.Blob.AwaitSegment(ctx, n); err != nil {
			return err
		}
		if err := l.hashSegment(ctx, n); err != nil {
			return fmt.Errorf("hash segment %d: %w", n, err)
		}
		state, err := l.hash.(encoding.BinaryMarshaler).MarshalBinary()
		if err != nil {
			return fmt.Errorf("keep the hash: %w", err)
		}
		l.Blob.MarkHashed(n, state)
	}
	return nil
}

// hashSegment takes a segment's bytes from memory, otherwise from the bucket or the source.
func (l *Landing) hashSegment(ctx context.Context, n int) error {
	if buf := l.Blob.Bytes(n); buf != nil {
		l.hash.Write(buf)
		l.Activity.Progress()
		return nil
	}
	stored, readable := l.Blob.Object(n)
	if !readable {
		return l.rehash(ctx, n)
	}
	before, err := l.hash.(encoding.BinaryMarshaler).MarshalBinary()
	if err != nil {
		return err
	}
	err = l.hashStored(ctx, stored)
	if err != nil && (patient.Passing(err) || errors.Is(err, backend.ErrNotFound)) && ctx.Err() == nil && !l.Store.IsOver() {
		err = cmp.Or(l.Blob.PassThrough(err), err)
	}
	if err == nil || ctx.Err() != nil || !l.Blob.PassesThrough() {
		return err
	}
	// It can be fetched once more.
	if err := l.hash.(encoding.BinaryUnmarshaler).UnmarshalBinary(before); err != nil {
		return err
	}
	l.Blob.MarkSegmentGone(n)
	return l.rehash(ctx, n)
}

// hashStored hashes a segment that is in the bucket.
func (l *Landing) hashStored(ctx context.Context, stored backend.Object) error {
	hashed := int64(0)
	return l.Store.Insist(ctx, func() error {
		body, _, err := l.Store.Store.Get(ctx, stored.Key, backend.Range{Offset: hashed})
		if err != nil {
			return err
		}
		defer body.Close()
		got, err := io.Copy(l.hash, body)
		if got > 0 {
			l.Activity.Progress()
		}
		switch hashed += got; {
		case hashed == stored.Size:
			return nil
		case err == nil:
			err = io.ErrUnexpectedEOF
		}
		return err
	})
}

// rehash fetches a segment once more that was evicted before it was hashed. It accepts other bytes than before only if no
// reader has had those.
func (l *Landing) rehash(ctx context.Context, n int) error {
	from := l.Blob.Refetch()
	defer from.Close()
	proof := l.Blob.Proof(n)
	if proof == nil && l.Blob.Given(n) {
		return growing.ErrGone
	}
	end := l.Blob.Start(n) + l.Blob.Length(n)
	buf := make([]byte, 64<<10)
	for at := l.Blob.Start(n); at < end; {
		got, err := from.ReadAt(ctx, buf, at, end)
		if err != nil {
			return err
		}
		l.hash.Write(buf[:got])
		if proof != nil {
			proof.Write(buf[:got])
		}
		l.Activity.Progress()
		at += int64(got)
	}
	if proof != nil {
		return proof.Check()
	}
	return nil
}

// Verify compares the hash of all bytes with the digest. If it is right, readers get the last bytes too.
func (l *Landing) Verify() error {
	if got := digest.NewDigest(l.Blob.Digest.Algorithm(), l.hash); got != l.Blob.Digest {
		return fmt.Errorf("%w: the %d bytes hash to %s", growing.ErrBadBlob, l.Blob.Size(), got)
	}
	l.Blob.MarkVerified()
	return nil
}
