package mirror

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/maypok86/otter/v2"
	"github.com/opencontainers/go-digest"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/singleflight"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/bounded"
	"github.com/entrepot-io/entrepot/mirror/ability"
	"github.com/entrepot-io/entrepot/mirror/fill"
	"github.com/entrepot-io/entrepot/mirror/layout"
	"github.com/entrepot-io/entrepot/mirror/lease"
	"github.com/entrepot-io/entrepot/upstream"
)

const (
	// Responses start within 20 s, since some clients give up after 30 s. The first lookup in the bucket has storeTimeout.
	// questionTime is for the rest: the lease, the upstream's answer, and storing it.
	storeTimeout    = 4 * time.Second
	questionTime    = 15 * time.Second
	upstreamTimeout = 12 * time.Second
	acquireTimeout  = 8 * time.Second // for a lease, which is several requests
	// sizeTime limits the wait for a blob's size: a look into the bucket, and joining its fill.
	sizeTime = 18 * time.Second
	// maxPresences limits the number of blobs in the presence cache.
	maxPresences = 200_000
	// maxTags and maxAPIs limit the records in memory, in bytes.
	maxTags = 24 << 20
	maxAPIs = 4 << 20
)

// Config configures a Mirror.
type Config struct {
	Store       backend.Store
	Upstreams   []*upstream.Registry // the first is the default; at least one
	TagTTL      time.Duration        // how long a tag is served without asking the upstream; 0 means always ask
	TagTTLRules TTLRules             // TTLs of some tags
	Freezes     bool                 // the process may be frozen between requests, so no work continues after a response; see HandOver
	StaleMax    time.Duration        // how long after its last revalidation a tag is served if the upstream fails; 0 means forever
	KeepDeleted time.Duration        // how long a tag is served that the upstream has deleted
	NegativeTTL time.Duration        // how long a missing or refused content is remembered
	PresenceTTL time.Duration        // how long a blob that was seen in the bucket is taken to be there; 0: 1 min
	RecordUse   bool                 // record in the bucket when objects were last used
	UseInterval time.Duration        // how precisely the last use is recorded; 0: UseInterval
	Manifests   int64                // bytes of manifests and lists that are kept in memory; 0: 64 MiB
	Memory      *bounded.Budget      // for manifests and lists that are not small, kept or on their way; nil: see Buffers
	SegmentSize int64                // bytes; see fill.Config
	FillMemory  int64                // bytes; see fill.Config
	Connections int                  // to an upstream, for each blob; see fill.Config
	Log         *slog.Logger
	Metrics     prometheus.Registerer // nil: none
	Now         func() time.Time      // nil: time.Now
}

// Mirror is the pull-through core. Its methods may be called concurrently.
type Mirror struct {
	Config
	upstreams map[string]*upstream.Registry
	realm     layout.Realm
	fills     *fill.Fills
	abilities *ability.Abilities
	leases    *leases
	ready     readiness

	ends       context.Context // when the mirror is closed
	end        context.CancelFunc
	background sync.WaitGroup // what goes on until then

	presences     *otter.Cache[digest.Digest, *Blob] // seen in the bucket, or on their way
	manifests     *otter.Cache[manifestName, *Manifest]
	tags          *records[tagRecord, *Manifest]
	tagLists      *records[tagList, tagList]
	referrerLists *records[referrerList, referrerList]
	referrersAPIs *records[referrersAPI, struct{}]
	pages         pages
	sizes         sizes
	refusals      refusals
	uses          *uses // nil: they are not recorded
	metrics       metrics
	flights       singleflight.Group

	storeClock storeClock
}

// New returns a mirror. It sends no requests, so that a process starts even if its bucket or its upstreams are down.
func New(cfg Config) *Mirror {
	if cfg.Now == nil {
		cfg.Now = time.Now
		if cfg.Freezes {
			cfg.Now = wallClock
		}
	}
	if cfg.PresenceTTL == 0 {
		cfg.PresenceTTL = time.Minute
	}
	if cfg.Manifests == 0 {
		cfg.Manifests = 64 << 20
	}
	if cfg.Memory == nil {
		cfg.Memory = bounded.NewBudget(Buffers(cfg.Manifests))
	}
	m := &Mirror{
		Config:    cfg,
		upstreams: map[string]*upstream.Registry{},
		realm:     layout.Public,
		presences: otter.Must(&otter.Options[digest.Digest, *Blob]{
			MaximumSize:      maxPresences,
			ExpiryCalculator: otter.ExpiryWriting[digest.Digest, *Blob](cfg.PresenceTTL),
		}),
		manifests: otter.Must(&otter.Options[manifestName, *Manifest]{
			MaximumWeight: uint64(cfg.Manifests / 2), // and each kind of list has a quarter
			Weigher:       func(_ manifestName, m *Manifest) uint32 { return uint32(len(m.Body)) + 512 },
		}),
		sizes:    newSizes(),
		refusals: newRefusals(cfg.NegativeTTL, cfg.Now),
		metrics:  newMetrics(cfg.Metrics, cfg.Memory),
	}
	m.ends, m.end = context.WithCancel(context.Background())
	m.tags = newTags(m)
	m.tagLists = newTagLists(m)
	m.referrerLists = newReferrerLists(m)
	m.referrersAPIs = newReferrersAPIs(m)
	m.abilities = ability.New(ability.Config{
		Store: cfg.Store, Prefix: layout.Public.Probe(), Log: cfg.Log, Metrics: cfg.Metrics, Now: cfg.Now,
	})
	m.leases = &leases{
		abilities: m.abilities,
		locks:     lease.Leases[struct{}]{Store: cfg.Store, IfMatch: m.abilities.IfMatch, Memory: cfg.Memory},
		log:       cfg.Log,
	}
	if cfg.RecordUse {
		m.uses = newUses(cfg)
	}
	for _, u := range cfg.Upstreams {
		m.upstreams[u.Name()] = u
	}
	m.fills = fill.New(fill.Config{
		Store:       cfg.Store,
		Realm:       m.realm,
		SegmentSize: cfg.SegmentSize,
		Memory:      cfg.FillMemory,
		Buffers:     cfg.Memory,
		Connections: cfg.Connections,
		Upstreams:   len(cfg.Upstreams),
		OpenTimeout: upstreamTimeout,
		Freezes:     cfg.Freezes,
		Abilities:   m.abilities,
		Log:         cfg.Log,
		Metrics:     fill.NewMetrics(cfg.Metrics),
	})
	return m
}

// ErrNoMemory is wrapped if the memory for manifests and lists was in use for too long.
var ErrNoMemory = bounded.ErrFull

// Buffers is the memory in bytes of manifests and lists that are not small, if so many bytes of all are kept: there is
// always room for some on their way.
func Buffers(kept int64) int64 { return kept + 32<<20 }

// wallClock returns a time that advances while the process is frozen, unlike a monotonic clock.
func wallClock() time.Time { return time.Now().Round(0) }

// HandOver ends all work, for a process that may be frozen next. It leaves the state of unfinished fills in the bucket, and the
// next process continues them. Error: that of ctx, if it ended first.
func (m *Mirror) HandOver(ctx context.Context) error {
	return errors.Join(m.fills.HandOver(ctx), m.uses.flush(ctx))
}

// Close ends the running fills and questions, and waits for them.
func (m *Mirror) Close() {
	m.end()
	m.tags.questions.end()
	m.tagLists.questions.end()
	m.referrerLists.questions.end()
	m.presences.StopAllGoroutines()
	m.fills.Close()
	m.uses.close()
	m.background.Wait()
}

// FillCount returns the number of running fills.
func (m *Mirror) FillCount() int { return m.fills.Count() }

// shared calls do once for concurrent callers with the same key. do outlives a caller that leaves, and has a time limit of its
// own. If the process may be frozen, do ends with the caller that started it.
func shared[T any](ctx context.Context, m *Mirror, key string, do func(context.Context) (T, error)) (T, error) {
	gone, outlives := ctx.Done(), context.WithoutCancel(ctx)
	if m.Freezes {
		gone, outlives = nil, ctx
	}
	flight := m.flights.DoChan(key, func() (any, error) {
		ctx, cancel := context.WithTimeout(outlives, questionTime)
		defer cancel()
		return do(ctx)
	})
	select {
	case <-gone:
		var none T
		return none, ctx.Err()
	case r := <-flight:
		value, _ := r.Val.(T) // nil if do failed
		return value, r.Err
	}
}
