package mirror

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/mirror/fill"
	"github.com/entrepot-io/entrepot/upstream"
)

var (
	// ErrBadBlob is wrapped if an upstream sent something else than the blob.
	ErrBadBlob = fill.ErrBadBlob
	// ErrHandedOver is wrapped if the fill ended with its state in the bucket. The next request continues it.
	ErrHandedOver = fill.ErrHandedOver
	// ErrBusy is wrapped if as many blobs are on their way as this process can have.
	ErrBusy = fill.ErrBusy
	// ErrTooLarge is wrapped if ENTREPOT_FILL_MEMORY is too little for the blob.
	ErrTooLarge = fill.ErrTooLarge
	// ErrUnstored is wrapped by Blob.Wait if the bucket does not take the blob. It can be read all the same.
	ErrUnstored = fill.ErrUnstored
)

// Blob is a blob's descriptor: its digest, its size, and whether it is stored or on its way. It holds nothing open and may
// be shared: each reader opens its own stream.
type Blob struct {
	Digest digest.Digest
	Size   int64 // bytes

	mirror *Mirror
	key    string
	fill   *fill.Fill // nil: the blob was found in the bucket

	seen     time.Time   // when it was found in the bucket
	renewing atomic.Bool // the bucket is being looked at again
}

// StoredAt returns the key of a blob that is in the bucket, whole and verified.
func (b *Blob) StoredAt() (key string, stored bool) {
	if b.fill != nil && !b.fill.Last().Stored() {
		return "", false
	}
	return b.key, true
}

// Fetched reports whether a fill has brought the blob or brings it, rather than that it was in the bucket already.
func (b *Blob) Fetched() bool { return b.fill != nil }

// Wait waits until the blob is in the bucket (nil), or returns why it will not be. Errors: those of Mirror.Blob,
// ErrHandedOver and ErrUnstored.
func (b *Blob) Wait(ctx context.Context) error {
	if b.fill == nil {
		return nil
	}
	return b.fill.Wait(ctx)
}

// Open reads length bytes of the blob from offset, or all to its end if length is 0. It waits for bytes that are on their
// way. A bad blob ends with an error before its last byte.
func (b *Blob) Open(ctx context.Context, offset, length int64) (io.ReadCloser, error) {
	key, stored := b.StoredAt()
	if !stored {
		r := b.fill.Open(ctx, offset)
		if length == 0 {
			return r, nil
		}
		return limited{io.LimitReader(r, length), r}, nil
	}
	if offset == b.Size {
		return io.NopCloser(bytes.NewReader(nil)), nil
	}
	body, found, err := b.mirror.Store.Get(ctx, key, backend.Range{Offset: offset, Length: length})
	if err == nil && found.Size != b.Size {
		body.Close()
		b.mirror.presences.Invalidate(b.Digest) // the next request finds out which of the two is true
		err = fmt.Errorf("it has %d bytes, and should have %d", found.Size, b.Size)
	}
	if errors.Is(err, backend.ErrNotFound) {
		b.mirror.presences.Invalidate(b.Digest) // somebody has deleted it: the next request fetches it again
	}
	if err != nil {
		return nil, fmt.Errorf("open blob %s: %w", b.Digest, err)
	}
	return body, nil
}

type limited struct {
	io.Reader
	io.Closer
}

// Blob finds a blob, and begins its fill from the upstream if it is not in the bucket. It returns when the size is known.
// Errors: *UpstreamError, ErrBadBlob, ErrBusy, ErrTooLarge, the store's, the context's.
func (m *Mirror) Blob(ctx context.Context, repo Repository, d digest.Digest) (*Blob, error) {
	if blob, ok := m.presence(d); ok {
		m.uses.mark(d)
		return blob, nil
	}
	name := contentName("blob", repo, d)
	if err := m.refusals.of(name); err != nil {
		return nil, err
	}
	waiting := ctx
	if !m.Freezes { // a fill that may be frozen with its process takes its deadline from the request
		var cancel context.CancelFunc
		waiting, cancel = context.WithTimeout(ctx, sizeTime)
		defer cancel()
	}
	if !m.fills.Has(d) {
		blob, err := m.lookUp(waiting, d)
		if err != nil && waiting.Err() == nil { // else the request has no time left, but its fill begins
			return nil, err
		}
		if blob != nil {
			m.uses.mark(d)
			return blob, nil
		}
	}
	if err := m.upstream(repo).Offline(); err != nil {
		return nil, err
	}
	size := m.sizes.hint(d)
	from := source{m.upstream(repo).Blob(repo, d).WithSize(size), size}
	f, err := m.fills.Join(waiting, d, from)
	m.refusals.learn(name, err)
	if err != nil {
		return nil, err
	}
	if f, err = m.settled(ctx, f, from.HasOthers()); err != nil {
		return nil, err
	}
	m.uses.mark(d)
	return m.rememberFill(d, f), nil
}

// brief is how long a response waits for a small blob to be verified, since another endpoint may have to bring it.
const brief = 2 * time.Second

// settled waits until a tiny blob is verified before any client has its bytes, and a brief time for a small one from an
// upstream with several endpoints. It returns the fill that brings the blob.
func (m *Mirror) settled(ctx context.Context, f *fill.Fill, others bool) (*fill.Fill, error) {
	if others {
		waiting, cancel := context.WithTimeout(ctx, brief)
		defer cancel()
		small, err := f.Settled(waiting, (*fill.Fill).Small)
		if waiting.Err() == nil || ctx.Err() != nil {
			return small, err
		}
	}
	return f.Settled(ctx, (*fill.Fill).Tiny)
}

// source is an upstream's blob, with its size from a manifest, or 0.
type source struct {
	*upstream.Blob
	size int64
}

// Expect returns the size if the upstream is known to give ranges, so that a fill can plan for it.
func (s source) Expect() int64 {
	if !s.GivesRanges() {
		return 0
	}
	return s.size
}

// Told returns the size from a manifest.
func (s source) Told() int64 { return s.size }

// StatBlob finds a blob's size without beginning a fill.
func (m *Mirror) StatBlob(ctx context.Context, repo Repository, d digest.Digest) (int64, error) {
	if blob, ok := m.presence(d); ok {
		return blob.Size, nil
	}
	if size := m.fills.SizeOf(d); size > 0 {
		return size, nil
	}
	name := contentName("blob", repo, d)
	return shared(ctx, m, name, func(ctx context.Context) (int64, error) {
		blob, err := m.lookUp(ctx, d)
		if err != nil {
			return 0, err
		}
		if blob != nil {
			return blob.Size, nil
		}
		if err := m.refusals.of(name); err != nil {
			return 0, err
		}
		size, err := m.upstream(repo).Blob(repo, d).WithSize(m.sizes.hint(d)).Size(ctx)
		m.refusals.learn(name, err)
		return size, err
	})
}
