package fill

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/maypok86/otter/v2"
	"github.com/opencontainers/go-digest"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/bounded"
	"github.com/entrepot-io/entrepot/mirror/ability"
	"github.com/entrepot-io/entrepot/mirror/fill/budget"
	"github.com/entrepot-io/entrepot/mirror/fill/landing"
	"github.com/entrepot-io/entrepot/mirror/layout"
	"github.com/entrepot-io/entrepot/mirror/lease"
	"github.com/entrepot-io/entrepot/upstream"
)

// Config says how blobs are filled. The zero value of a number is its default.
type Config struct {
	Store       backend.Store
	Realm       layout.Realm
	SegmentSize int64           // bytes; default 8 MiB; at least backend.MinPart
	Buffers     *bounded.Budget // for reading leases; nil: unlimited
	Memory      int64           // bytes that all segments together may hold; default 256 MiB; at least one segment
	Connections int             // to the source, for each blob; default 4
	Upstreams   int             // of all blobs: if there is more than one, none may have all the memory
	OpenTimeout time.Duration   // until a source's size is known; default 12 s
	// Freezes says that the process may be frozen when a request ends, after a call of HandOver. No segment is begun that
	// would hardly be complete at the deadline of the context with which its fill was begun.
	Freezes bool

	Abilities *ability.Abilities // of Store
	Log       *slog.Logger
	Metrics   *Metrics // see NewMetrics
}

// Fills are the blobs on their way in this process. Each has one transfer, however many clients ask for it.
type Fills struct {
	Config
	leases lease.Leases[landing.State]
	budget *budget.Budget
	turns  *landing.Turns
	// distrusted has epochs whose segments did not hash to their blob, and could not be deleted without a lease.
	distrusted *otter.Cache[string, struct{}]

	mu      sync.Mutex
	shift   *shift // that new fills belong to
	before  *shift // nil: there was none
	running map[digest.Digest]*Fill
	closed  bool
}

// maxDistrusted limits the remembered bad epochs.
const maxDistrusted = 1000

// joinTimeout limits the wait for a size.
const joinTimeout = 18 * time.Second

// New returns Fills without a fill.
func New(cfg Config) *Fills {
	cfg.SegmentSize = cmp.Or(cfg.SegmentSize, 8<<20)
	cfg.Memory = cmp.Or(cfg.Memory, 256<<20)
	cfg.Connections = cmp.Or(cfg.Connections, 4)
	cfg.OpenTimeout = cmp.Or(cfg.OpenTimeout, 12*time.Second)
	return &Fills{
		Config:  cfg,
		leases:  lease.Leases[landing.State]{Store: cfg.Store, IfMatch: cfg.Abilities.IfMatch, Memory: cfg.Buffers},
		budget:  budget.New(cfg.Memory, cfg.SegmentSize, cfg.Upstreams < 2),
		turns:   landing.NewTurns(),
		running: map[digest.Digest]*Fill{},
		shift:   newShift(),

		distrusted: otter.Must(&otter.Options[string, struct{}]{MaximumSize: maxDistrusted}),
	}
}

// Join returns the fill of a blob once its size is known, and begins it if there is none. Look for the blob in the bucket
// first: a fill of a blob that is there takes the lease before it notices, and is then at its end. The source is that of the caller that begins the fill; what it refuses counts for its
// repository alone. The transfer belongs to Fills: it continues when ctx ends. The errors are those of the source and of
// the store, and ErrHandedOver.
func (f *Fills) Join(ctx context.Context, d digest.Digest, source Source) (*Fill, error) {
	until, _ := ctx.Deadline()
	ctx, cancel := context.WithTimeout(ctx, joinTimeout)
	defer cancel()
	for {
		fill, err := f.findOrBegin(ctx, d, source, until)
		if err != nil {
			return nil, err
		}
		defer fill.account.Leave()
		err = fill.blob.AwaitSize(ctx)
		refused := new(upstream.Error)
		switch {
		case err == nil:
			return fill, nil
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case errors.As(err, &refused) && fill.source.Repository() != source.Repository():
			continue
		}
		return nil, err
	}
}

// findOrBegin returns a fill that counts its caller among its readers.
func (f *Fills) findOrBegin(ctx context.Context, d digest.Digest, source Source, until time.Time) (*Fill, error) {
	if fill := f.find(d); fill != nil {
		return fill, nil
	}
	upstream, slots := source.Link()
	account, err := f.budget.Open(ctx, upstream, slots)
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if fill := f.findLocked(d); fill != nil { // another caller was faster
		account.Close()
		return fill, nil
	}
	if f.closed {
		account.Close()
		return nil, ErrHandedOver
	}
	fill := f.newFill(d, source, account)
	if f.Freezes {
		fill.until = until
	}
	f.begin(fill)
	return fill, nil
}

func (f *Fills) find(d digest.Digest) *Fill {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.findLocked(d)
}

// findLocked returns the fill of a blob, unless it is about to end: then another continues it. The caller holds the lock.
func (f *Fills) findLocked(d digest.Digest) *Fill {
	if fill := f.running[d]; fill != nil && fill.shift == f.shift && fill.blob.Join() && fill.account.Enter() {
		return fill
	}
	return nil
}

func (f *Fills) forget(fill *Fill) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.running[fill.Digest] == fill {
		delete(f.running, fill.Digest)
	}
}

// Has reports whether a blob is on its way.
func (f *Fills) Has(d digest.Digest) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.running[d] != nil
}

// SizeOf returns the size of a blob that is on its way, 0 if it is not or if its size is unknown.
func (f *Fills) SizeOf(d digest.Digest) int64 {
	f.mu.Lock()
	fill := f.running[d]
	f.mu.Unlock()
	if fill == nil || !fill.blob.HasSize() {
		return 0
	}
	return fill.Size()
}

// Count returns the number of fills that are on their way.
func (f *Fills) Count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.running)
}
