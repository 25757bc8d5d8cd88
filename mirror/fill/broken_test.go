package fill_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/backend/backendtest/memory"
	"github.com/entrepot-io/entrepot/mirror/ability"
	"github.com/entrepot-io/entrepot/mirror/fill"
	"github.com/entrepot-io/entrepot/mirror/layout"
)

// oddStore is a store with a configurable behaviour for writes of leases and of probes.
type oddStore struct {
	*memory.Store
	put func(size int64, c backend.Condition) (backend.Condition, error)

	mu     sync.Mutex
	leases int // writes of leases
	swept  []string
}

func (s *oddStore) Put(ctx context.Context, key string, body io.Reader, size int64, o backend.PutOptions) (backend.Object, error) {
	if o.Condition != (backend.Condition{}) {
		s.mu.Lock()
		if strings.HasSuffix(key, "/lease") {
			s.leases++
		}
		s.mu.Unlock()
		s.mu.Lock()
		put := s.put
		s.mu.Unlock()
		var err error
		if o.Condition, err = put(size, o.Condition); err != nil {
			return backend.Object{}, err
		}
	}
	return s.Store.Put(ctx, key, body, size, o)
}

func (s *oddStore) Sweep(_ context.Context, key string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.swept = append(s.swept, key)
	return nil
}

// turn changes the behaviour.
func (s *oddStore) turn(put func(size int64, c backend.Condition) (backend.Condition, error)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.put = put
}

func (s *oddStore) leaseWrites() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.leases
}

func (s *oddStore) sweeps() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.swept
}

func honoured(_ int64, c backend.Condition) (backend.Condition, error) { return c, nil }

// breaking honours conditions at first. Later it refuses each If-Match with an error, even if it is met.
func breaking(at time.Time, refusal error) func(int64, backend.Condition) (backend.Condition, error) {
	return func(_ int64, c backend.Condition) (backend.Condition, error) {
		if c.IfMatch != "" && time.Now().After(at) {
			return c, refusal
		}
		return c, nil
	}
}

// bare is like Ceph RGW 16: it accepts the right ETag only without quotes.
func bare(_ int64, c backend.Condition) (backend.Condition, error) {
	switch {
	case c.IfMatch == "":
		return c, nil
	case strings.Contains(string(c.IfMatch), `"`):
		return c, backend.ErrPrecondition
	}
	return backend.Condition{IfMatch: `"` + c.IfMatch + `"`}, nil
}

// process is a process that knows nothing about its store yet.
type process struct {
	*fill.Fills
	abilities *ability.Abilities
}

func newProcess(t *testing.T, store backend.Store) process {
	t.Helper()
	abilities := ability.New(ability.Config{Store: store, Prefix: layout.Public.Probe(), Log: slog.New(slog.DiscardHandler)})
	fills := fill.New(fill.Config{
		Store: store, Realm: layout.Public, SegmentSize: segmentSize, Connections: 2,
		Abilities: abilities, Log: slog.New(slog.DiscardHandler), Metrics: fill.NewMetrics(nil),
	})
	t.Cleanup(fills.Close)
	return process{fills, abilities}
}

// pull reads the whole blob like a client.
func (p process) pull(t *testing.T, l *link) error {
	f, err := p.Join(t.Context(), digest.FromBytes(l.content), l)
	if err != nil {
		return err
	}
	body := f.Open(t.Context(), 0)
	defer body.Close()
	got, err := io.ReadAll(body)
	if err == nil {
		assert.Equal(t, digest.FromBytes(l.content), digest.FromBytes(got))
	}
	return err
}

// wait waits for the end of the fills, and for the clean-up that follows the response.
func (p process) wait() {
	for p.Count() > 0 {
		time.Sleep(time.Second)
	}
	time.Sleep(time.Minute)
}

func requireStoredAlone(t *testing.T, store backend.Store, l *link) {
	t.Helper()
	var keys []string
	for o, err := range store.List(t.Context(), "", "") {
		require.NoError(t, err)
		keys = append(keys, o.Key)
	}
	require.Equal(t, []string{layout.Public.Blob(digest.FromBytes(l.content))}, keys)
}

func TestStoreWithBareETagsHoldsLeases(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, l := &oddStore{Store: new(memory.Store), put: bare}, newLink(20, 100)
		a, b := newProcess(t, store), newProcess(t, store)
		var clients sync.WaitGroup
		for _, p := range []process{a, b} {
			clients.Go(func() { assert.NoError(t, p.pull(t, l)) })
		}
		clients.Wait()
		a.wait()
		b.wait()
		requireStoredAlone(t, store, l)
		assert.LessOrEqual(t, store.leases, 10)
		assert.LessOrEqual(t, len(l.asked), 20+1, "the upstream sends the blob once")
		assert.Empty(t, a.abilities.Missing())
	})
}

func TestStoreWithoutIfMatchHoldsNoLeases(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, l := &oddStore{Store: new(memory.Store), put: breaking(time.Time{}, backend.ErrPrecondition)}, newLink(20, 100)
		p := newProcess(t, store)
		require.NoError(t, p.pull(t, l))
		p.wait()
		requireStoredAlone(t, store, l)
		assert.Zero(t, store.leaseWrites())
		assert.Len(t, p.abilities.Missing(), 1)
	})
}

func TestClientsSurviveBreakingLeases(t *testing.T) {
	for name, refusal := range map[string]error{
		"met conditions count as unmet": backend.ErrPrecondition, "conditions are refused": backend.ErrUnable,
		"no lease can be written": backend.ErrFull, "nor by these credentials": backend.ErrDenied,
	} {
		for _, after := range []time.Duration{0, 3 * time.Second, 9 * time.Second, 20 * time.Second} {
			t.Run(name+" after "+after.String(), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					store, l := &oddStore{Store: new(memory.Store), put: honoured}, newLink(60, 100)
					a, b := newProcess(t, store), newProcess(t, store)
					for _, p := range []process{a, b} {
						_, err := p.abilities.Leases(t.Context())
						require.NoError(t, err)
					}
					time.Sleep(time.Second)
					store.turn(breaking(time.Now().Add(after), refusal))
					var clients sync.WaitGroup
					for n, p := range []process{a, b, a, b} {
						clients.Go(func() {
							time.Sleep(time.Duration(n) * 400 * time.Millisecond)
							assert.NoError(t, p.pull(t, l))
						})
					}
					clients.Wait()
					a.wait()
					b.wait()
					requireStoredAlone(t, store, l)
					assert.LessOrEqual(t, store.leases, 40)
					most := 60 + 2
					if after == 0 { // the lease never contained the blob's size, so the other replica could not follow
						most *= 2
					}
					assert.LessOrEqual(t, len(l.asked), most, "the other replica keeps following")
				})
			})
		}
	}
}

func TestFillSurvivesAnUnansweredProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, l := &oddStore{Store: new(memory.Store)}, newLink(20, 100)
		store.put = func(_ int64, c backend.Condition) (backend.Condition, error) {
			return c, statusError(http.StatusServiceUnavailable)
		}
		p := newProcess(t, store)
		require.NoError(t, p.pull(t, l))
		p.wait()
		requireStoredAlone(t, store, l)
		assert.Empty(t, p.abilities.Missing(), "an inconclusive probe proves nothing")

		store.turn(honoured)
		other := newLink(2, 100)
		require.NoError(t, p.pull(t, other))
		assert.Positive(t, store.leaseWrites())
	})
}

// A leader that cannot renew its lease for an unknown reason must assume that another replica leads, and store nothing more.
func TestLeaderGivesUpWithoutRenewals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, l := &oddStore{Store: new(memory.Store), put: honoured}, newLink(200, 100)
		p := newProcess(t, store)
		f, err := p.Join(t.Context(), digest.FromBytes(l.content), l)
		require.NoError(t, err)
		time.Sleep(3 * time.Second)
		store.turn(breaking(time.Time{}, errLost))
		ctx, cancel := context.WithTimeout(t.Context(), 25*time.Second)
		defer cancel()
		require.ErrorIs(t, f.Wait(ctx), fill.ErrUnstored)
	})
}

func TestTakeoverSweepsUploads(t *testing.T) {
	for _, takenOver := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			store, l := &oddStore{Store: new(memory.Store), put: honoured}, newLink(3, 100)
			d := digest.FromBytes(l.content)
			if takenOver {
				record := `{"epoch":"E","turn":1,"nonce":"N","released":true,"state":{}}`
				_, err := store.Put(t.Context(), layout.Public.FillLease(d), strings.NewReader(record), int64(len(record)), backend.PutOptions{})
				require.NoError(t, err)
			}
			p := newProcess(t, store)
			require.NoError(t, p.pull(t, l))
			p.wait()
			if takenOver {
				require.Equal(t, []string{layout.Public.Blob(d)}, store.sweeps(), "the last leader may have died while composing the blob")
			} else {
				require.Empty(t, store.sweeps())
			}
		})
	}
}

// The hash state in a lease covers certain versions of its segments. Other versions are fetched again.
func TestReplacedSegmentIsHashedAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, l := &oddStore{Store: new(memory.Store), put: honoured}, newLink(20, 100)
		d := digest.FromBytes(l.content)
		first := newProcess(t, store)
		_, err := first.Join(t.Context(), d, l)
		require.NoError(t, err)
		time.Sleep(6 * time.Second)
		first.Close()
		replaced := ""
		for o := range store.List(t.Context(), layout.Public.Fill(d), "") {
			if replaced == "" && strings.Contains(o.Key, "/00000.") {
				replaced = o.Key
			}
		}
		require.NotEmpty(t, replaced)
		wrong := strings.Repeat("x", segmentSize)
		_, err = store.Put(t.Context(), replaced, strings.NewReader(wrong), segmentSize, backend.PutOptions{})
		require.NoError(t, err)

		second := newProcess(t, store)
		f, err := second.Join(t.Context(), d, l)
		require.NoError(t, err)
		require.NoError(t, f.Wait(t.Context()), "the hashed segments are fetched again")
		second.wait()
		requireStoredAlone(t, store, l)
	})
}
