package mirror_test

import (
	"bytes"
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

// marked is a bucket with a blob on which the garbage collector works.
type marked struct {
	*memory.Store
	t    *testing.T
	blob digest.Digest
}

const blobText = "the bytes of a blob"

func newMarked(t *testing.T) marked {
	m := marked{new(memory.Store), t, digest.FromString(blobText)}
	m.write(layout.Public.Blob(m.blob), blobText)
	m.mark(layout.Tombstone)
	return m
}

func (m marked) write(key, text string) {
	_, err := m.Put(m.t.Context(), key, bytes.NewReader([]byte(text)), int64(len(text)), backend.PutOptions{})
	require.NoError(m.t, err)
}

func (m marked) mark(mark layout.Mark) { m.write(layout.Public.Mark(layout.Blobs, m.blob, mark), "") }

func (m marked) unmark(mark layout.Mark) {
	require.NoError(m.t, m.Delete(m.t.Context(), layout.Public.Mark(layout.Blobs, m.blob, mark)))
}

func (m marked) has(mark layout.Mark) bool {
	_, err := m.Stat(m.t.Context(), layout.Public.Mark(layout.Blobs, m.blob, mark))
	return err == nil
}

func TestMarkedBlobIsUsedAndSaysSo(t *testing.T) {
	inBubble(t, func(t *testing.T, o *origin) {
		store := newMarked(t)
		r := bubbled(t, store.Store, o, mirror.Config{})
		blob, err := r.Blob(t.Context(), repository(t, "app"), store.blob)
		require.NoError(t, err)
		_, stored := blob.StoredAt()
		assert.True(t, stored)
		assert.True(t, store.has(layout.Used))
	})
}

func TestTombstoneIsNoticedWithinPresenceTTL(t *testing.T) {
	inBubble(t, func(t *testing.T, o *origin) {
		store := newMarked(t)
		store.unmark(layout.Tombstone)
		r := bubbled(t, store.Store, o, mirror.Config{PresenceTTL: time.Minute})
		use := func() {
			_, err := r.Blob(t.Context(), repository(t, "app"), store.blob)
			require.NoError(t, err)
			synctest.Wait()
		}
		use()
		store.mark(layout.Tombstone)
		time.Sleep(time.Minute + time.Second)
		use()
		assert.True(t, store.has(layout.Used))
	})
}

func TestBlobBeingDeletedIsFetchedAgain(t *testing.T) {
	reg := upstreamtest.Start(t, upstreamtest.Options{})
	image := reg.Image("library/app", "1", 100)
	layer := image.Layers[0].Digest
	store := marked{new(memory.Store), t, layer}
	r := startReplicaWith(t, store.Store, reg, mirror.Config{})
	read := func() digest.Digest {
		content, _, err := r.read(t.Context(), repository(t, "app"), layer)
		require.NoError(t, err)
		return content
	}
	first := read()
	store.mark(layout.Tombstone)
	store.mark(layout.Deleting)
	r = startReplicaWith(t, store.Store, reg, mirror.Config{})
	go func() {
		time.Sleep(50 * time.Millisecond) // while the replica waits
		require.NoError(t, store.Delete(t.Context(), layout.Public.Blob(layer)))
		store.unmark(layout.Deleting)
	}()
	assert.Equal(t, first, read())
	assert.EqualValues(t, 2*image.Layers[0].Size, reg.Counts().BytesByDigest[layer])
	_, err := store.Stat(t.Context(), layout.Public.Blob(layer))
	require.NoError(t, err, "the blob is stored again")
}

func TestAbandonedDeletionIsIgnored(t *testing.T) {
	inBubble(t, func(t *testing.T, o *origin) {
		store := newMarked(t)
		store.mark(layout.Deleting)
		time.Sleep(2 * time.Minute)
		r := bubbled(t, store.Store, o, mirror.Config{})
		blob, err := r.Blob(t.Context(), repository(t, "app"), store.blob)
		require.NoError(t, err)
		_, stored := blob.StoredAt()
		assert.True(t, stored)
		assert.False(t, store.has(layout.Deleting))
	})
}
