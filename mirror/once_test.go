package mirror_test

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/backend/backendtest/memory"
	"github.com/entrepot-io/entrepot/mirror"
)

// together requests the tag from all replicas, with a pause before each request, and returns the answers.
func together(t *testing.T, pause time.Duration, replicas ...replica) []mirror.Answer {
	t.Helper()
	answers := make([]mirror.Answer, len(replicas))
	var wg sync.WaitGroup
	for i, r := range replicas {
		wg.Go(func() {
			var err error
			answers[i], err = r.get(t, "app", "1")
			assert.NoError(t, err)
		})
		time.Sleep(pause)
	}
	wg.Wait()
	return answers
}

func TestLongWorkKeepsItsLease(t *testing.T) {
	inBubble(t, func(t *testing.T, o *origin) {
		store := new(memory.Store)
		o.set(func(o *origin) { o.delay = 11900 * time.Millisecond })
		r := func() replica { return bubbled(t, store, o, mirror.Config{}) }
		for _, answer := range together(t, 200*time.Millisecond, r(), r(), r(), r()) {
			assert.NoError(t, answer.Stale)
		}
		assert.Equal(t, 1, o.count(http.MethodGet))
		assert.Empty(t, keys(t, store, "public/fills/"))
	})
}

func TestLostLeaseStillServesItsOwnCaller(t *testing.T) {
	inBubble(t, func(t *testing.T, o *origin) {
		store := new(memory.Store)
		o.set(func(o *origin) { o.delay = 8 * time.Second })
		r := bubbled(t, store, o, mirror.Config{})
		var wg sync.WaitGroup
		wg.Go(func() { r.mustGet(t, "app", "1") })
		time.Sleep(time.Second)
		for _, key := range keys(t, store, "public/fills/") {
			_, err := store.Put(t.Context(), key, strings.NewReader(`{"epoch":"another"}`), 19, backend.PutOptions{})
			require.NoError(t, err)
		}
		wg.Wait()
		assert.Len(t, keys(t, store, "public/fills/"), 1, "the other replica's lease remains")
	})
}

func TestDeadReplicasLeaseIsTakenOver(t *testing.T) {
	inBubble(t, func(t *testing.T, o *origin) {
		store := new(memory.Store)
		_, err := store.Put(t.Context(), "public/fills/tags/docker.io/library/app/_/1", strings.NewReader(`{"epoch":"dead"}`), 16,
			backend.PutOptions{})
		require.NoError(t, err)
		bubbled(t, store, o, mirror.Config{}).mustGet(t, "app", "1")
	})
}

func TestFailedProbeOfLeasesFailsNoRequest(t *testing.T) {
	inBubble(t, func(t *testing.T, o *origin) {
		hiccup := backend.ErrLate
		store := &readOnly{Store: new(memory.Store)}
		store.set(func(_ context.Context, key string) error {
			if strings.Contains(key, "/probe/") {
				return hiccup
			}
			return nil
		})
		r, other := bubbled(t, store, o, mirror.Config{}), bubbled(t, store, o, mirror.Config{})
		r.mustGet(t, "app", "1")
		assert.NotEmpty(t, recordOf(t, store))

		store.set(nil)
		time.Sleep(2 * time.Minute)
		o.set(func(o *origin) { o.delay = time.Second })
		together(t, 10*time.Millisecond, r, other)
		assert.Equal(t, 1, o.count(http.MethodHead), "leases are used again")
	})
}
