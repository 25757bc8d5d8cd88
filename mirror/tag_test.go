package mirror_test

import (
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/mirror"
	"github.com/entrepot-io/entrepot/upstream/upstreamtest"
)

func TestFreshTagCostsNoUpstreamRequest(t *testing.T) {
	reg := upstreamtest.Start(t, upstreamtest.Options{})
	image := reg.Image("library/app", "1", 100)
	store := newStore(t)
	a, b := startReplica(t, store, reg), startReplica(t, store, reg)

	first := a.mustGet(t, "app", "1")
	assert.Equal(t, image.Body, first.Body)
	assert.Equal(t, image.MediaType, first.MediaType)
	assert.Equal(t, image.Digest, first.Digest)
	asked := reg.Counts().Requests
	assert.Zero(t, asked[upstreamtest.ManifestHead], "one GET is enough")
	assert.Equal(t, 1, asked[upstreamtest.ManifestGet])

	for range 3 {
		a.mustGet(t, "app", "1")
		b.mustGet(t, "app", "1") // another replica reads the record in the bucket
	}
	assert.Equal(t, asked, reg.Counts().Requests)
}

func TestOlderTagIsRevalidatedByHead(t *testing.T) {
	reg := upstreamtest.Start(t, upstreamtest.Options{})
	old := reg.Image("library/app", "1", 100)
	r := startReplica(t, newStore(t), reg)
	r.mustGet(t, "app", "1")
	r.clock.Advance(2 * time.Minute)
	assert.Equal(t, old.Digest, r.mustGet(t, "app", "1").Digest)
	counts := reg.Counts().Requests
	assert.Equal(t, 1, counts[upstreamtest.ManifestHead])
	assert.Equal(t, 1, counts[upstreamtest.ManifestGet])

	moved := reg.Image("library/app", "1", 200)
	assert.Equal(t, old.Digest, r.mustGet(t, "app", "1").Digest, "within the TTL")
	r.clock.Advance(2 * time.Minute)
	assert.Equal(t, moved.Digest, r.mustGet(t, "app", "1").Digest)
	counts = reg.Counts().Requests
	assert.Equal(t, 2, counts[upstreamtest.ManifestHead])
	assert.Equal(t, 2, counts[upstreamtest.ManifestGet])
}

func TestTagMovedToKnownManifestCostsNoGet(t *testing.T) {
	reg := upstreamtest.Start(t, upstreamtest.Options{})
	reg.Image("library/app", "latest", 100)
	next := reg.Image("library/app", "1.2", 100)
	r := startReplica(t, newStore(t), reg)
	r.mustGet(t, "app", "latest")
	r.mustGet(t, "app", "1.2")
	reg.Tag("library/app", "latest", next.Digest)
	r.clock.Advance(2 * time.Minute)
	assert.Equal(t, next.Digest, r.mustGet(t, "app", "latest").Digest)
	assert.Equal(t, 2, reg.Counts().Requests[upstreamtest.ManifestGet])
}

func TestConcurrentTagRequestsShareOneHead(t *testing.T) {
	reg := upstreamtest.Start(t, upstreamtest.Options{})
	reg.Image("library/app", "1", 100)
	reg.Faults.Set(upstreamtest.Fault{Delay: 200 * time.Millisecond})
	store := newStore(t)
	replicas := []replica{startReplica(t, store, reg), startReplica(t, store, reg), startReplica(t, store, reg)}
	ask := func() {
		var wg sync.WaitGroup
		for i := range 30 {
			wg.Go(func() {
				_, err := replicas[i%len(replicas)].get(t, "app", "1")
				assert.NoError(t, err)
			})
		}
		wg.Wait()
	}
	ask()
	assert.Equal(t, 1, reg.Counts().Requests[upstreamtest.ManifestGet], "one for all replicas")
	reg.Image("library/app", "1", 200)
	for _, r := range replicas {
		r.clock.Advance(2 * time.Minute)
	}
	ask()
	counts := reg.Counts().Requests
	assert.Equal(t, 1, counts[upstreamtest.ManifestHead], "one for all replicas")
	assert.Equal(t, 2, counts[upstreamtest.ManifestGet])
	assert.Empty(t, keys(t, store, "public/fills/"), "no lease is left behind")
}

func TestCachedContentSurvivesUpstreamFailure(t *testing.T) {
	for name, fail := range map[string]func(*upstreamtest.Registry){
		"down":               func(r *upstreamtest.Registry) { r.Stop() },
		"hangs":              func(r *upstreamtest.Registry) { r.Faults.Set(upstreamtest.Fault{Hang: true}) },
		"drops connections":  func(r *upstreamtest.Registry) { r.Faults.Set(upstreamtest.Fault{Drop: true}) },
		"401":                status(http.StatusUnauthorized),
		"403":                status(http.StatusForbidden),
		"404: deleted there": status(http.StatusNotFound),
		"408":                status(http.StatusRequestTimeout),
		"429":                status(http.StatusTooManyRequests),
		"500":                status(http.StatusInternalServerError),
		"503":                status(http.StatusServiceUnavailable),
		"an HTML page": func(r *upstreamtest.Registry) {
			r.Faults.Set(upstreamtest.Fault{HTML: true, Header: http.Header{"Docker-Content-Digest": nil}})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			reg := upstreamtest.Start(t, upstreamtest.Options{})
			image := reg.Image("library/app", "1", 100)
			store := newStore(t)
			r := startReplica(t, store, reg)
			r.mustGet(t, "app", "1")
			checked := r.clock.Now()
			fail(reg)
			other := startReplica(t, store, reg) // one that has nothing in memory
			for _, r := range []replica{r, other} {
				r.clock.Advance(time.Hour)
				answer := r.mustGet(t, "app", "1")
				assert.Equal(t, image.Digest, answer.Digest)
				assert.Error(t, answer.Stale)
				assert.WithinDuration(t, checked, answer.Checked, time.Second)
				assert.NoError(t, r.mustGet(t, "app", image.Digest.String()).Stale, "a digest is never stale")
			}
		})
	}
}

func status(code int) func(*upstreamtest.Registry) {
	return func(r *upstreamtest.Registry) { r.Faults.Set(upstreamtest.Fault{Status: code}) }
}

func TestDeletedTagIsNotServedForever(t *testing.T) {
	reg := upstreamtest.Start(t, upstreamtest.Options{})
	image := reg.Image("library/app", "1", 100)
	store := newStore(t)
	r, other := startReplica(t, store, reg), startReplica(t, store, reg)
	r.mustGet(t, "app", "1")
	reg.Delete("library/app", "1")
	r.clock.Advance(90 * 24 * time.Hour)
	assert.Equal(t, image.Digest, r.mustGet(t, "app", "1").Digest, "the deletion may be recent")
	other.clock.Advance(29 * 24 * time.Hour)
	assert.Equal(t, image.Digest, other.mustGet(t, "app", "1").Digest, "deleted 29 days ago")
	other.clock.Advance(2 * 24 * time.Hour)
	_, err := other.get(t, "app", "1")
	failed := new(mirror.UpstreamError)
	require.ErrorAs(t, err, &failed)
	assert.True(t, failed.NotFound(), "another replica noticed the deletion")

	again := reg.Image("library/app", "1", 200)
	other.clock.Advance(time.Minute)
	assert.Equal(t, again.Digest, other.mustGet(t, "app", "1").Digest, "the tag exists again")
	reg.Delete("library/app", "1")
	other.clock.Advance(29 * 24 * time.Hour)
	assert.Equal(t, again.Digest, other.mustGet(t, "app", "1").Digest, "the days count from the next deletion")
}

func TestTagAndRepositoryMayShareName(t *testing.T) {
	reg := upstreamtest.Start(t, upstreamtest.Options{})
	outer := reg.Image("org/app", "web", 100)
	inner := reg.Image("org/app/web", "latest", 200)
	store := newStore(t)
	r := startReplica(t, store, reg)
	r.mustGet(t, "org/app", "web")
	r.mustGet(t, "org/app/web", "latest")
	reg.Stop()
	other := startReplica(t, store, reg)
	assert.Equal(t, outer.Digest, other.mustGet(t, "org/app", "web").Digest)
	assert.Equal(t, inner.Digest, other.mustGet(t, "org/app/web", "latest").Digest)
}

func TestFreezingProcessLeavesNoBackgroundWork(t *testing.T) {
	reg := upstreamtest.Start(t, upstreamtest.Options{})
	image := reg.Image("library/app", "1", 100)
	store := newStore(t)
	r := startReplicaWith(t, store, reg, mirror.Config{Freezes: true, Upstreams: newUpstreams(t, reg, 200*time.Millisecond)})
	r.mustGet(t, "app", "1")
	r.clock.Advance(time.Hour)
	reg.Faults.Set(upstreamtest.Fault{Hang: true})
	for range 3 {
		answer := r.mustGet(t, "app", "1")
		assert.Equal(t, image.Digest, answer.Digest)
		assert.Error(t, answer.Stale)
		assert.Empty(t, keys(t, store, "public/fills/"), "no lease is left")
	}
	reg.Faults.Clear()
	other := startReplicaWith(t, store, reg, mirror.Config{Freezes: true})
	other.clock.Advance(time.Hour)
	assert.NoError(t, other.mustGet(t, "app", "1").Stale)
}

// HEAD is only a hint. If it names a manifest that the upstream does not have, GET decides.
func TestWrongDigestInHeadDoesNotHideTag(t *testing.T) {
	reg := upstreamtest.Start(t, upstreamtest.Options{})
	reg.Image("library/app", "1", 100)
	r := startReplica(t, newStore(t), reg)
	r.mustGet(t, "app", "1")
	moved := reg.Image("library/app", "1", 200)
	wrong := digest.FromString("no such manifest").String()
	reg.Faults.Set(upstreamtest.Fault{Kind: upstreamtest.ManifestHead, Header: http.Header{"Docker-Content-Digest": {wrong}}})
	r.clock.Advance(2 * time.Minute)
	answer := r.mustGet(t, "app", "1")
	assert.Equal(t, moved.Digest, answer.Digest)
	assert.NoError(t, answer.Stale)
}
