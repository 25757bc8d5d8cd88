package fill_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/backend/backendtest/memory"
	"github.com/entrepot-io/entrepot/mirror/fill"
	"github.com/entrepot-io/entrepot/mirror/layout"
)

// newFreezing returns the fills of a process that may be frozen after each request.
func newFreezing(t *testing.T, store backend.Store) *fill.Fills {
	t.Helper()
	fills := fill.New(fill.Config{
		Store: store, Realm: layout.Public, SegmentSize: segmentSize, Connections: 2, Freezes: true,
		Abilities: abilities(store, true), Log: slog.New(slog.DiscardHandler), Metrics: fill.NewMetrics(nil),
	})
	t.Cleanup(fills.Close)
	return fills
}

// request waits for the blob for a time, and then hands over. It returns how long each took, and the error of the wait.
func request(t *testing.T, fills *fill.Fills, l *link, atMost time.Duration) (waited, handedOver time.Duration, err error) {
	t.Helper()
	began := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), atMost)
	defer cancel()
	f, err := fills.Join(ctx, digest.FromBytes(l.content), l)
	if err == nil {
		err = f.Wait(ctx)
	}
	answered := time.Now()
	resting, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	require.NoError(t, fills.HandOver(resting))
	assert.Zero(t, fills.Count())
	return answered.Sub(began), time.Since(answered), err
}

func TestFillSurvivesFreezesBetweenRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// A segment takes 1.1 s including latency, so each connection fetches some during a request.
		store, l := new(memory.Store), newLink(40, 100)
		mine, others := newFreezing(t, store), newFreezing(t, store)
		requests := 0
		for err := fill.ErrHandedOver; err != nil; requests++ {
			require.Less(t, requests, 10)
			fills := []*fill.Fills{mine, others, mine}[requests%3]
			var waited, handedOver time.Duration
			waited, handedOver, err = request(t, fills, l, 8*time.Second)
			if err != nil && !errors.Is(err, context.DeadlineExceeded) {
				require.ErrorIs(t, err, fill.ErrHandedOver, "the wait may end early if no further segment can start")
			}
			assert.LessOrEqual(t, waited, 8*time.Second)
			assert.Less(t, handedOver, 3*time.Second, "no segment starts that cannot complete")
			time.Sleep(time.Hour)
		}
		t.Logf("%d requests", requests)
		assert.Greater(t, requests, 2)
		// Besides one request for each segment, look-ahead may have sent some whose responses nobody read.
		assert.LessOrEqual(t, len(l.asked), 40+2*(requests-1), "%v", l.asked)
		assert.True(t, l.room.TryAcquire(100), "all downloads have ended")
	})
}

func TestFollowerHandsOverAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, l := new(memory.Store), newLink(40, 100)
		leader, follower := newFreezing(t, store), newFreezing(t, store)
		_, err := leader.Join(t.Context(), digest.FromBytes(l.content), l)
		require.NoError(t, err)
		waited, handedOver, err := request(t, follower, l, 5*time.Second)
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Equal(t, 5*time.Second, waited)
		assert.Less(t, handedOver, time.Second)
		assert.Equal(t, 1, leader.Count())
	})
}

func TestLateRequestBeginsNoSegment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLink(4, 100)
		store := new(memory.Store)
		_, _, err := request(t, newFreezing(t, store), l, time.Second)
		assert.ErrorIs(t, err, fill.ErrHandedOver)
		assert.Empty(t, l.asked)
		for object := range store.List(t.Context(), "", "") {
			t.Errorf("%s is left behind", object.Key)
		}
	})
}

// hung is a store whose writes of segments hang until it continues.
type hung struct {
	*memory.Store
	goesOn chan struct{}
}

func (h hung) Put(ctx context.Context, key string, body io.Reader, size int64, o backend.PutOptions) (backend.Object, error) {
	if !slices.Contains([]string{"put lease", "put blob"}, event("put", key)) {
		<-h.goesOn
	}
	return h.Store.Put(ctx, key, body, size, o)
}

func TestHandOverDoesNotWaitForHangingStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLink(4, 100)
		store := hung{new(memory.Store), make(chan struct{})}
		fills := newFreezing(t, store)
		_, err := fills.Join(t.Context(), digest.FromBytes(l.content), l)
		require.NoError(t, err)
		time.Sleep(2 * time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		began := time.Now()
		assert.ErrorIs(t, fills.HandOver(ctx), context.DeadlineExceeded)
		assert.Equal(t, 5*time.Second, time.Since(began))
		close(store.goesOn)
		require.NoError(t, fills.HandOver(t.Context()), "the next handover waits for the rest")
	})
}
