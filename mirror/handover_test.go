package mirror_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/backend/backendtest/memory"
	"github.com/entrepot-io/entrepot/mirror"
	"github.com/entrepot-io/entrepot/upstream/upstreamtest"
)

// frozen configures a mirror in a process that may be frozen between requests.
var frozen = mirror.Config{Freezes: true, RecordUse: true, PresenceTTL: time.Second}

// gone returns a context that ends while an upstream hangs.
func gone(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	t.Cleanup(cancel)
	return ctx
}

func TestClientLeavingHungUpstreamGetsError(t *testing.T) {
	for name, cfg := range map[string]mirror.Config{"as others go on": {}, "as the process may be frozen": frozen} {
		t.Run(name, func(t *testing.T) {
			reg := upstreamtest.Start(t, upstreamtest.Options{})
			image := reg.Image("library/app", "1", 100)
			reg.Faults.Set(upstreamtest.Fault{Kind: upstreamtest.ManifestGet, Hang: true, Until: t.Context().Done()})
			r := startReplicaWith(t, new(memory.Store), reg, cfg)
			for _, reference := range []string{image.Digest.String(), "1"} {
				ref, err := mirror.ParseReference(reference)
				require.NoError(t, err)
				answer, err := r.Manifest(gone(t), repository(t, "app"), ref)
				assert.Error(t, err)
				assert.Nil(t, answer.Manifest)
			}
			reg.Faults.Set(upstreamtest.Fault{Kind: upstreamtest.BlobGet, Hang: true, Until: t.Context().Done()})
			_, err := r.StatBlob(gone(t), repository(t, "app"), image.Layers[0].Digest)
			assert.Error(t, err)
		})
	}
}

func TestFreezingProcessAsksNothingForGoneClients(t *testing.T) {
	reg := upstreamtest.Start(t, upstreamtest.Options{})
	image := reg.Image("library/app", "1", 100)
	hanging := make(chan struct{})
	reg.Faults.Set(upstreamtest.Fault{Kind: upstreamtest.ManifestGet, Hang: true, Until: hanging})
	store := new(memory.Store)
	r := startReplicaWith(t, store, reg, frozen)
	ref, err := mirror.ParseReference(image.Digest.String())
	require.NoError(t, err)
	_, err = r.Manifest(gone(t), repository(t, "app"), ref)
	require.Error(t, err)
	assert.Empty(t, keys(t, store, "public/fills/"), "the lease is released before the response")
	close(hanging)
	assert.Equal(t, image.Digest, r.mustGet(t, "app", image.Digest.String()).Digest)
}

func TestFreezingProcessRenewsNoPresence(t *testing.T) {
	reg := upstreamtest.Start(t, upstreamtest.Options{})
	d := reg.Blob("library/app", upstreamtest.Random(1, 1000))
	store := &lookedAt{Store: new(memory.Store)}
	r := startReplicaWith(t, store, reg, frozen)
	_, _, err := r.read(t.Context(), repository(t, "app"), d)
	require.NoError(t, err)
	require.NoError(t, r.HandOver(t.Context()))
	before := store.looks.Load()
	time.Sleep(frozen.PresenceTTL * 9 / 10)
	_, err = r.Blob(t.Context(), repository(t, "app"), d)
	require.NoError(t, err)
	time.Sleep(frozen.PresenceTTL / 5)
	assert.Equal(t, before, store.looks.Load())
	_, err = r.Blob(t.Context(), repository(t, "app"), d)
	require.NoError(t, err)
	assert.Greater(t, store.looks.Load(), before, "the presence has expired")
}

func TestHandOverWaitsForMarkersOfUse(t *testing.T) {
	reg := upstreamtest.Start(t, upstreamtest.Options{})
	image := reg.Image("library/app", "1", 100)
	store := &slowUses{Store: new(memory.Store), open: make(chan struct{})}
	r := startReplicaWith(t, store, reg, frozen)
	require.NoError(t, r.HandOver(t.Context()), "there is nothing to do")
	r.mustGet(t, "app", image.Digest.String())
	require.ErrorIs(t, r.HandOver(gone(t)), context.DeadlineExceeded)
	assert.Empty(t, keys(t, store, "access/"))
	time.AfterFunc(100*time.Millisecond, func() { close(store.open) })
	require.NoError(t, r.HandOver(t.Context()))
	assert.Len(t, keys(t, store, "access/"), 1)
}
