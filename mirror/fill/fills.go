package fill

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/semaphore"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/mirror/layout"
	"github.com/entrepot-io/entrepot/mirror/lease"
	"github.com/entrepot-io/entrepot/upstream"
)

// Config says how blobs are filled. The zero value of a number is its default.
type Config struct {
	Store       backend.Store
	Realm       layout.Realm
	SegmentSize int64         // bytes; default 8 MiB; at least backend.MinPart
	Memory      int64         // bytes that all segments together may hold; default 256 MiB; at least one segment
	Connections int           // to the source, for each blob; default 4
	OpenTimeout time.Duration // until a source's size is known; default 12 s
	// Freezes: the process may be frozen when a request ends, and HandOver is called before. No segment is begun that would
	// hardly be complete at the deadline of the context with which its fill was begun.
	Freezes bool

	// Leases tells whether the store can hold leases. Where it cannot, every replica fills for itself.
	Leases   func(context.Context) (bool, error)
	OnStored func(d digest.Digest, size int64) // called when a blob is known to be in the bucket; may be nil
	Log      *slog.Logger
	Metrics  *Metrics // see NewMetrics
}

// Fills are the blobs on their way in this process. Each has one transfer, however many ask for it.
type Fills struct {
	Config
	leases lease.Leases[State]
	memory *memory
	puts   chan struct{}
	moves  atomic.Bool // the store has been seen to be unable to compose

	mu      sync.Mutex
	shift   *shift // that new fills belong to
	before  *shift // nil: there was none
	running map[digest.Digest]*Fill
	closed  bool
}

const (
	// concurrentPuts bounds the segments of all fills that are being stored at one time.
	concurrentPuts = 16
	// joinTimeout bounds the wait for a size, whoever is finding it out.
	joinTimeout = 18 * time.Second
)

// New starts with no fills.
func New(cfg Config) *Fills {
	if cfg.SegmentSize == 0 {
		cfg.SegmentSize = 8 << 20
	}
	if cfg.Memory == 0 {
		cfg.Memory = 256 << 20
	}
	if cfg.Connections == 0 {
		cfg.Connections = 4
	}
	if cfg.OpenTimeout == 0 {
		cfg.OpenTimeout = 12 * time.Second
	}
	f := &Fills{
		Config: cfg,
		leases: lease.Leases[State]{Store: cfg.Store},
		memory: &memory{
			size: cfg.Memory,
			unit: cfg.SegmentSize,
			all:  semaphore.NewWeighted(cfg.Memory),
		},
		puts:    make(chan struct{}, concurrentPuts),
		running: map[digest.Digest]*Fill{},
		shift:   newShift(),
	}
	return f
}

// Join returns the fill of a blob once its size is known, and begins it where there is none; where the blob is in the
// bucket already, the fill is one that is at its end. The source is that of the one who begins it; what that refuses
// counts for its repository alone. The transfer belongs to Fills and not to the caller: it goes on when ctx ends. The
// errors are the source's and the store's, and ErrHandedOver.
func (f *Fills) Join(ctx context.Context, d digest.Digest, source Source) (*Fill, error) {
	until, _ := ctx.Deadline()
	ctx, cancel := context.WithTimeout(ctx, joinTimeout)
	defer cancel()
	for {
		fill, err := f.findOrBegin(d, source, until)
		if err != nil {
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-fill.opened:
		}
		refused := new(upstream.Error)
		switch {
		case fill.openError == nil:
			return fill, nil
		case errors.As(fill.openError, &refused) && fill.source.Repository() != source.Repository():
			continue
		}
		return nil, fill.openError
	}
}

func (f *Fills) findOrBegin(d digest.Digest, source Source, until time.Time) (*Fill, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if fill := f.running[d]; fill != nil && fill.shift == f.shift {
		return fill, nil
	}
	if f.closed {
		return nil, ErrHandedOver
	}
	fill := newFill(f, d, source)
	if f.Freezes {
		fill.until = until
	}
	f.running[d] = fill
	fill.shift.wg.Go(func() { fill.run(fill.shift.ctx) })
	return fill, nil
}

func (f *Fills) forget(fill *Fill) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.running[fill.Digest] == fill {
		delete(f.running, fill.Digest)
	}
}

// Count is the number of fills that are on their way.
func (f *Fills) Count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.running)
}
