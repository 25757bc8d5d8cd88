package mirror_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
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
	"github.com/entrepot-io/entrepot/mirror"
	"github.com/entrepot-io/entrepot/mirror/layout"
	"github.com/entrepot-io/entrepot/upstream/upstreamtest"
)

// slowUses is a store that counts markers, and writes them only when open is closed.
type slowUses struct {
	*memory.Store
	open chan struct{}

	mu   sync.Mutex
	puts []string
}

func (s *slowUses) Put(ctx context.Context, key string, body io.Reader, size int64, o backend.PutOptions) (backend.Object, error) {
	if strings.HasPrefix(key, "access/") {
		s.mu.Lock()
		s.puts = append(s.puts, key)
		s.mu.Unlock()
		select {
		case <-ctx.Done():
			return backend.Object{}, ctx.Err()
		case <-s.open:
		}
	}
	return s.Store.Put(ctx, key, body, size, o)
}

func (s *slowUses) begun() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.puts...)
}

func TestUseIsRecordedOncePerHour(t *testing.T) {
	reg := upstreamtest.Start(t, upstreamtest.Options{})
	image := reg.Image("library/app", "1", 100)
	store := &slowUses{Store: new(memory.Store), open: make(chan struct{})}
	close(store.open)
	r := startReplicaWith(t, store, reg, mirror.Config{RecordUse: true})
	layer := image.Layers[0].Digest
	use := func() {
		for range 20 {
			r.mustGet(t, "app", "1")
			r.mustGet(t, "app", image.Digest.String())
			_, _, err := r.read(t.Context(), repository(t, "app"), layer)
			require.NoError(t, err)
		}
	}
	for hours := range 2 {
		use()
		assert.EventuallyWithT(t, func(c *assert.CollectT) { assert.Len(c, store.begun(), 2*(hours+1)) }, time.Minute, 10*time.Millisecond)
		r.clock.Advance(59 * time.Minute)
		use()
		r.clock.Advance(time.Minute)
	}
	assert.ElementsMatch(t, []string{layout.Use(image.Digest), layout.Use(layer)}, keys(t, store, "access/"))
	assert.Len(t, store.begun(), 4)
}

func TestSlowMarkersOfUseDelayNobody(t *testing.T) {
	inBubble(t, func(t *testing.T, o *origin) {
		store := &slowUses{Store: new(memory.Store), open: make(chan struct{})}
		r := bubbled(t, store, o, mirror.Config{RecordUse: true, Log: slog.New(slog.DiscardHandler)})
		const images = 1100 // more than the queue holds
		o.bodies = map[string]string{}
		for i := range images {
			body := fmt.Sprintf(`{"manifests":[],"n":%d}`, i)
			o.bodies[digest.FromString(body).String()] = body
		}
		began := time.Now()
		for d := range o.bodies {
			r.mustGet(t, "app", d)
		}
		assert.Zero(t, time.Since(began))
		assert.LessOrEqual(t, len(store.begun()), 2)
		close(store.open)
		synctest.Wait()
		written := len(keys(t, store, "access/"))
		assert.Greater(t, written, 990)
		assert.Less(t, written, images, "markers are dropped while the queue is full")
	})
}
