package mirror_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/backend/backendtest/memory"
	"github.com/entrepot-io/entrepot/mirror"
	"github.com/entrepot-io/entrepot/upstream/upstreamtest"
)

// lookedAt is a store that counts lookups of blobs. Each lookup takes look.
type lookedAt struct {
	*memory.Store
	looks atomic.Int64
	look  time.Duration
}

func (s *lookedAt) Stat(ctx context.Context, key string) (backend.Object, error) {
	if strings.HasPrefix(key, "public/blobs/") {
		s.looks.Add(1)
		time.Sleep(s.look)
	}
	return s.Store.Stat(ctx, key)
}

func TestPresenceIsRenewedInTheBackground(t *testing.T) {
	inBubble(t, func(t *testing.T, o *origin) {
		store := &lookedAt{Store: new(memory.Store)}
		const ttl, content = time.Minute, "a blob"
		d := digest.FromString(content)
		_, err := store.Put(t.Context(), "public/blobs/sha256/"+d.Encoded(), strings.NewReader(content), int64(len(content)), backend.PutOptions{})
		require.NoError(t, err)
		r := bubbled(t, store, o, mirror.Config{PresenceTTL: ttl})
		_, _, err = r.read(t.Context(), repository(t, "app"), d)
		require.NoError(t, err)
		store.look = ttl / 30
		before := store.looks.Load()
		for began := time.Now(); time.Since(began) < 3*ttl; time.Sleep(ttl / 100) {
			asked := time.Now()
			blob, err := r.Blob(t.Context(), repository(t, "app"), d)
			require.NoError(t, err)
			assert.Zero(t, time.Since(asked), "the client does not wait")
			_, stored := blob.StoredAt()
			assert.True(t, stored)
		}
		looks := store.looks.Load() - before
		assert.GreaterOrEqual(t, looks, int64(2))
		assert.LessOrEqual(t, looks, int64(5))
		time.Sleep(store.look) // the last lookup may be in progress
	})
}

func TestRemovedBlobIsStoredAgainInTime(t *testing.T) {
	reg := upstreamtest.Start(t, upstreamtest.Options{})
	d := reg.Blob("library/app", upstreamtest.Random(1, 1000))
	store := new(memory.Store)
	const ttl = time.Second
	r := startReplicaWith(t, store, reg, mirror.Config{PresenceTTL: ttl})
	_, _, err := r.read(t.Context(), repository(t, "app"), d)
	require.NoError(t, err)
	require.NoError(t, store.Delete(t.Context(), "public/blobs/sha256/"+d.Encoded()))
	deadline := time.Now().Add(time.Minute)
	for {
		_, err := r.Blob(t.Context(), repository(t, "app"), d) // all that a redirect needs
		require.NoError(t, err)
		if len(keys(t, store, "public/blobs/")) == 1 {
			break
		}
		require.True(t, time.Now().Before(deadline))
		time.Sleep(ttl / 50)
	}
	got, _, err := r.read(t.Context(), repository(t, "app"), d)
	require.NoError(t, err)
	assert.Equal(t, d, got)
}
