package mirror_test

import (
	"context"
	"io"
	"log/slog"
	"net/url"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/backend/fs"
	"github.com/entrepot-io/entrepot/mirror"
	"github.com/entrepot-io/entrepot/upstream"
	"github.com/entrepot-io/entrepot/upstream/upstreamtest"
)

// replica is a mirror on a store and an upstream that others may share.
type replica struct {
	*mirror.Mirror
	clock *clock
}

// clock shows the time plus the advances of a test.
type clock struct {
	mu    sync.Mutex
	moves []move
}

type move struct {
	when  time.Time
	ahead time.Duration // since then
}

func (c *clock) Now() time.Time { return c.show(time.Now()) }

// show returns what the clock showed at a time.
func (c *clock) show(at time.Time) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, m := range slices.Backward(c.moves) {
		if !at.Before(m.when) {
			return at.Add(m.ahead)
		}
	}
	return at
}

func (c *clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.moves) > 0 {
		d += c.moves[len(c.moves)-1].ahead
	}
	c.moves = append(c.moves, move{time.Now(), d})
}

// clocked is a file store with the same clock as its replicas.
type clocked struct {
	*fs.Store
	clock *clock
}

func newStore(t *testing.T) backend.Store {
	t.Helper()
	store, err := fs.Open(t.TempDir())
	require.NoError(t, err)
	return clocked{store, new(clock)}
}

func (s clocked) date(o backend.Object) backend.Object {
	for _, at := range []*time.Time{&o.Modified, &o.AsOf} {
		if !at.IsZero() {
			*at = s.clock.show(*at)
		}
	}
	return o
}

func (s clocked) Get(ctx context.Context, key string, r backend.Range) (io.ReadCloser, backend.Object, error) {
	body, o, err := s.Store.Get(ctx, key, r)
	return body, s.date(o), err
}

func (s clocked) Stat(ctx context.Context, key string) (backend.Object, error) {
	o, err := s.Store.Stat(ctx, key)
	return s.date(o), err
}

func (s clocked) Put(ctx context.Context, key string, body io.Reader, size int64, opts backend.PutOptions) (backend.Object, error) {
	o, err := s.Store.Put(ctx, key, body, size, opts)
	return s.date(o), err
}

func startReplica(t *testing.T, store backend.Store, reg *upstreamtest.Registry) replica {
	t.Helper()
	return startReplicaWith(t, store, reg, mirror.Config{})
}

// newUpstreams returns upstreams with several names and one registry, each with a time budget.
func newUpstreams(t *testing.T, reg *upstreamtest.Registry, budget time.Duration) (all []*upstream.Registry) {
	t.Helper()
	base, err := url.Parse(reg.URL())
	require.NoError(t, err)
	transport := upstream.NewTransport(upstream.Timeouts{Header: time.Second, IdleBody: 1500 * time.Millisecond})
	for _, name := range []string{"docker.io", "ghcr.io", "corp:5000"} {
		u, err := upstream.New(upstream.Config{Name: name, Endpoints: []*url.URL{base}, Transport: transport, Budget: budget})
		require.NoError(t, err)
		all = append(all, u)
	}
	return all
}

// startReplicaWith starts a replica. Fields that cfg does not set are as in startReplica.
func startReplicaWith(t *testing.T, store backend.Store, reg *upstreamtest.Registry, cfg mirror.Config) replica {
	t.Helper()
	if cfg.Upstreams == nil {
		cfg.Upstreams = newUpstreams(t, reg, 0)
	}
	c := new(clock)
	if old, ok := store.(clocked); ok {
		c = old.clock
	}
	cfg.Store, cfg.Now = store, c.Now
	cfg.TagTTL, cfg.SegmentSize, cfg.NegativeTTL = time.Minute, backend.MinPart, 10*time.Second
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.NewTextHandler(t.Output(), nil))
	}
	if cfg.KeepDeleted == 0 {
		cfg.KeepDeleted = 30 * 24 * time.Hour
	}
	m := mirror.New(cfg)
	t.Cleanup(m.Close)
	return replica{m, c}
}

func repository(t *testing.T, path string) mirror.Repository {
	t.Helper()
	repo, err := upstream.ParseRepository("docker.io", path)
	require.NoError(t, err)
	return repo
}

func (r replica) get(t *testing.T, path, reference string) (mirror.Answer, error) {
	t.Helper()
	ref, err := mirror.ParseReference(reference)
	require.NoError(t, err)
	return r.Manifest(t.Context(), repository(t, path), ref)
}

func (r replica) mustGet(t *testing.T, path, reference string) mirror.Answer {
	t.Helper()
	answer, err := r.get(t, path, reference)
	require.NoError(t, err)
	return answer
}

func (r replica) revalidate(t *testing.T, path, reference string) mirror.Answer {
	t.Helper()
	ref, err := mirror.ParseReference(reference)
	require.NoError(t, err)
	answer, err := r.Revalidate(t.Context(), repository(t, path), ref)
	require.NoError(t, err)
	return answer
}

// read opens a blob and hashes all of it.
func (r replica) read(ctx context.Context, repo mirror.Repository, d digest.Digest) (digest.Digest, int64, error) {
	blob, err := r.Blob(ctx, repo, d)
	if err != nil {
		return "", 0, err
	}
	body, err := blob.Open(ctx, 0, 0)
	if err != nil {
		return "", 0, err
	}
	defer body.Close()
	hash := d.Algorithm().Digester()
	n, err := io.Copy(hash.Hash(), body)
	return hash.Digest(), n, err
}

// text returns a list's bytes.
func text(t *testing.T, b mirror.Body) []byte {
	t.Helper()
	all := slices.Concat(slices.Collect(b.Pieces)...)
	require.Len(t, all, int(b.Size))
	return all
}

// keys returns all keys in the store below a prefix.
func keys(t *testing.T, store backend.Store, prefix string) []string {
	t.Helper()
	var all []string
	for object, err := range store.List(t.Context(), prefix, "") {
		require.NoError(t, err)
		all = append(all, object.Key)
	}
	return all
}
