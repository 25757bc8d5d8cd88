package ability_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/backend/backendtest/memory"
	"github.com/entrepot-io/entrepot/mirror/ability"
)

// fixture is the Abilities of a store, with a clock that the test moves.
type fixture struct {
	*ability.Abilities
	now     time.Time
	metrics *prometheus.Registry
}

func newFixture(store backend.Store) *fixture {
	f := &fixture{now: time.Unix(1_000_000, 0), metrics: prometheus.NewRegistry()}
	f.Abilities = ability.New(ability.Config{
		Store: store, Prefix: "probe/", Log: slog.New(slog.DiscardHandler), Metrics: f.metrics, Now: func() time.Time { return f.now },
	})
	return f
}

func (f *fixture) missing() (names []string) {
	for _, missing := range f.Missing() {
		names = append(names, missing.Ability)
	}
	return names
}

func TestNothingMissingBeforeFirstUse(t *testing.T) {
	f := newFixture(&memory.Store{})
	require.Empty(t, f.Missing())
	require.NoError(t, f.Writable(ability.Blobs))
	require.True(t, f.Copies())
	n, err := testutil.GatherAndCount(f.metrics)
	require.NoError(t, err)
	require.Zero(t, n)
}

func TestRefusedWriteRetriedAfterPause(t *testing.T) {
	f := newFixture(&memory.Store{})
	f.RecordWrite(t.Context(), ability.Blobs, backend.ErrFull)
	require.ErrorIs(t, f.Writable(ability.Blobs), backend.ErrFull)
	require.NoError(t, f.Writable(ability.Tags), "small objects may still fit")
	require.Equal(t, []string{"write_blobs"}, f.missing())

	f.now = f.now.Add(5 * time.Second)
	require.NoError(t, f.Writable(ability.Blobs))
	require.ErrorIs(t, f.Writable(ability.Blobs), backend.ErrFull, "only one caller tries")
	f.RecordWrite(t.Context(), ability.Blobs, backend.ErrFull)
	f.now = f.now.Add(5 * time.Second)
	require.ErrorIs(t, f.Writable(ability.Blobs), backend.ErrFull, "pauses grow")

	f.now = f.now.Add(5 * time.Second)
	require.NoError(t, f.Writable(ability.Blobs))
	f.RecordWrite(t.Context(), ability.Blobs, nil)
	require.NoError(t, f.Writable(ability.Blobs))
	require.NoError(t, f.Writable(ability.Blobs))
	require.Empty(t, f.Missing())
}

func TestSingleTransientErrorIsNoRefusal(t *testing.T) {
	f := newFixture(&memory.Store{})
	transient := errors.New("503 SlowDown")
	for range 2 {
		f.RecordWrite(t.Context(), ability.Blobs, transient)
		f.RecordWrite(t.Context(), ability.Blobs, transient)
		require.NoError(t, f.Writable(ability.Blobs))
		f.RecordWrite(t.Context(), ability.Blobs, nil)
	}
	for range 3 {
		f.RecordWrite(t.Context(), ability.Blobs, transient)
		require.NoError(t, f.Writable(ability.Blobs), "many writes may have met the same transient error")
	}
	f.now = f.now.Add(10 * time.Second)
	f.RecordWrite(t.Context(), ability.Blobs, transient)
	require.ErrorIs(t, f.Writable(ability.Blobs), transient)
}

// unreachable is a store that cannot be read while down.
type unreachable struct {
	*memory.Store
	down bool
}

func (s *unreachable) Stat(ctx context.Context, key string) (backend.Object, error) {
	if s.down {
		return backend.Object{}, errors.New("connection refused")
	}
	return s.Store.Stat(ctx, key)
}

func TestOutageIsNoRefusal(t *testing.T) {
	store := &unreachable{Store: &memory.Store{}, down: true}
	f := newFixture(store)
	for range 10 {
		f.RecordWrite(t.Context(), ability.Leases, errors.New("connection refused"))
		f.now = f.now.Add(10 * time.Second)
	}
	require.NoError(t, f.Writable(ability.Leases))
	store.down = false
	f.RecordWrite(t.Context(), ability.Leases, errors.New("connection reset")) // the last write of the outage
	require.NoError(t, f.Writable(ability.Leases))
	require.Empty(t, f.Missing())
}

func TestLateRefusalDoesNotPostponeRetry(t *testing.T) {
	f := newFixture(&memory.Store{})
	f.RecordWrite(t.Context(), ability.Blobs, backend.ErrFull)
	f.now = f.now.Add(4 * time.Second)
	f.RecordWrite(t.Context(), ability.Blobs, backend.ErrFull) // by a write that began before the first refusal
	f.now = f.now.Add(time.Second)
	require.NoError(t, f.Writable(ability.Blobs))
}

// noCopies is a store whose copies fail with err.
type noCopies struct {
	*memory.Store
	err   error
	tries int
}

func (s *noCopies) Compose(context.Context, string, []backend.Object, backend.PutOptions) (backend.Object, error) {
	s.tries++
	return backend.Object{}, s.err
}

func TestProbe(t *testing.T) {
	transient := errors.New("503 SlowDown")
	for name, c := range map[string]struct {
		store   backend.Store
		missing []string
		err     error
	}{
		"all abilities":   {store: &memory.Store{}},
		"no copies":       {store: &noCopies{Store: &memory.Store{}, err: backend.ErrUnable}, missing: []string{"copies"}},
		"transient error": {store: &noCopies{Store: &memory.Store{}, err: transient}, err: transient},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(c.store)
			require.ErrorIs(t, f.Probe(t.Context()), c.err)
			require.Equal(t, c.missing, f.missing())
			for o := range c.store.List(t.Context(), "", "") {
				require.Fail(t, "left behind", o.Key)
			}
			if s, ok := c.store.(*noCopies); ok {
				tries := s.tries
				require.ErrorIs(t, f.Probe(t.Context()), c.err)
				require.Equal(t, c.err != nil, s.tries > tries, "probe again only after an inconclusive probe")
			}
		})
	}
}

func TestNoCopiesAfterTwoRefusals(t *testing.T) {
	f := newFixture(&memory.Store{})
	f.RecordCopy(backend.ErrUnable)
	f.RecordCopy(nil)
	f.RecordCopy(backend.ErrUnable)
	require.True(t, f.Copies())
	f.RecordCopy(backend.ErrUnable)
	require.False(t, f.Copies())
	require.Equal(t, []string{"copies"}, f.missing())
}

func TestNoLeasesOnceBroken(t *testing.T) {
	f := newFixture(&memory.Store{})
	support, err := f.Leases(t.Context())
	require.NoError(t, err)
	require.True(t, support.Able)
	f.BreakLeases(errors.New("an If-Match that held was refused"))
	support, err = f.Leases(t.Context())
	require.NoError(t, err)
	require.False(t, support.Able)
	require.Equal(t, []string{"conditional_writes"}, f.missing())
}

// flaky is a store that fails conditional writes for a while.
type flaky struct {
	*memory.Store
	fails bool
	puts  int
}

func (s *flaky) Put(ctx context.Context, key string, body io.Reader, size int64, o backend.PutOptions) (backend.Object, error) {
	s.puts++
	if s.fails && o.Condition != (backend.Condition{}) {
		return backend.Object{}, errors.New("503 SlowDown")
	}
	return s.Store.Put(ctx, key, body, size, o)
}

func TestTransientErrorLeavesLeasesUnknown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &flaky{Store: &memory.Store{}, fails: true}
		f := newFixture(store)
		_, err := f.Leases(t.Context())
		require.ErrorContains(t, err, "503 SlowDown")
		require.Empty(t, f.Missing(), "still unknown")
		puts := store.puts
		_, err = f.Leases(t.Context())
		require.ErrorContains(t, err, "503 SlowDown")
		require.Equal(t, puts, store.puts, "no second probe during the pause")

		store.fails = false
		f.now = f.now.Add(time.Second)
		support, err := f.Leases(t.Context())
		require.NoError(t, err)
		require.True(t, support.Able)
	})
}

// hanging is a store whose writes never end.
type hanging struct{ *memory.Store }

func (hanging) Put(ctx context.Context, _ string, _ io.Reader, _ int64, _ backend.PutOptions) (backend.Object, error) {
	<-ctx.Done()
	return backend.Object{}, ctx.Err()
}

func TestProbeWaitEndsWithCallersContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(hanging{&memory.Store{}})
		var probing sync.WaitGroup
		probing.Go(func() {
			_, err := f.Leases(t.Context())
			require.ErrorIs(t, err, backend.ErrLate)
		})
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		_, err := f.Leases(ctx)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, time.Second, time.Since(began))
		probing.Wait()
	})
}
