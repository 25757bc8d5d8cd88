package growing

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/mirror/fill/budget"
	"github.com/entrepot-io/entrepot/mirror/fill/patient"
)

// holdBack is how many of a blob's last bytes no reader gets before the hash is verified: a bad blob ends short, and never
// as a complete response.
const holdBack = 1 << 10

// Config says what a blob grows from and into.
type Config struct {
	Digest    digest.Digest
	Key       string // of the blob in the bucket
	Store     *patient.Caller
	Account   *budget.Account
	MustStore bool             // clients get bytes only by way of the store, so the blob cannot pass through
	Refetch   func() Refetcher // opens the source once more, for bytes that were here and are not any more
	Closing   <-chan struct{}  // closed when no segment may be begun any more
	Log       *slog.Logger
	Unstored  prometheus.Counter // blobs that pass through
}

// Refetcher reads bytes of a blob from its source once more.
type Refetcher interface {
	// ReadAt reads bytes from offset on, and before end, which is that of a segment.
	ReadAt(ctx context.Context, p []byte, offset, end int64) (int, error)
	// Close gives up the connection. ReadAt opens another.
	Close()
}

// Blob is a blob on its way to the bucket. Its methods may be called concurrently. Those about segments need a size.
type Blob struct {
	Config
	sized     chan struct{} // closed when size, segSize and segments are set, or sizeError is
	sizeError error
	size      int64
	segSize   int64

	mu       sync.RWMutex
	segments []segment
	states   [][]byte  // states[n] is the hash state after n segments, nil if unknown
	verified bool      // the hash of all bytes is right
	stored   bool      // the object is in the bucket
	since    time.Time // when that became known
	unstored error     // why the blob passes through; nil: it does not
	differs  error     // a segment was refetched and had other bytes; nil: none had
	err      error     // why the blob stops growing
	next     *Blob     // replaces this one, which failed; nil: none does
	readers  readers
	passing  chan struct{} // closed when the blob begins to pass through
	changed  chan struct{} // closed and replaced at each change of what the lock guards
}

// New returns a blob whose size is unknown.
func New(cfg Config) *Blob {
	return &Blob{
		Config: cfg,
		sized:  make(chan struct{}), passing: make(chan struct{}), changed: make(chan struct{}),
	}
}

// update changes the state under the lock and wakes everyone who waits for a change.
func (b *Blob) update(change func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	change()
	close(b.changed)
	b.changed = make(chan struct{})
}

// isClosing reports whether no segment may be begun any more.
func (b *Blob) isClosing() bool {
	select {
	case <-b.Closing:
		return true
	default:
		return false
	}
}

// Stored reports whether the blob is in the bucket.
func (b *Blob) Stored() bool {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.stored
}

// StoredSince returns when it became known that the blob is in the bucket, and reports whether it is.
func (b *Blob) StoredSince() (time.Time, bool) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.since, b.stored
}

// MarkVerified records that the hash of all bytes is right. From now on readers get the last bytes too.
func (b *Blob) MarkVerified() { b.update(func() { b.verified = true }) }

// MarkStored records that the blob is in the bucket with that size. It returns false, and records nothing but the size, if
// readers have been given other bytes: same reports whether a segment that readers have had is part of the blob.
func (b *Blob) MarkStored(size int64, same func(n int, segment backend.Object) bool) (agrees bool) {
	b.update(func() {
		agrees = b.agrees(size, same)
		b.verified, b.stored, b.since = b.verified || agrees, agrees, time.Now()
	})
	if !b.HasSize() {
		b.size, b.segSize = size, b.Account.Budget().Unit() // a stored blob needs no segments
		close(b.sized)
	}
	return agrees
}

// agrees reports whether a stored blob has the bytes that readers here have had. The caller holds the lock.
func (b *Blob) agrees(size int64, same func(n int, segment backend.Object) bool) bool {
	if !b.HasSize() {
		return true
	}
	if b.verified || size != b.size {
		return size == b.size
	}
	for n, s := range b.segments {
		if s.given && !same(n, s.stored) {
			return false
		}
	}
	return true
}

// End records why the blob stops growing, nil if it is stored or has passed through, and gives back its memory. Readers
// without bytes move on to next, unless it is nil.
func (b *Blob) End(err error, next *Blob) {
	if b.PassesThrough() {
		b.Account.Budget().AddPassing(-1)
	}
	b.update(func() { b.err, b.next = err, next })
	b.drop()
}
