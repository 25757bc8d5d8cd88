package mirror_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/upstream/upstreamtest"
)

// pullWarm pulls a small image, which shows that the upstream supports ranges, and then the manifest of another image.
func pullWarm(t *testing.T, r replica, reg *upstreamtest.Registry, layers ...int64) upstreamtest.Image {
	t.Helper()
	small := reg.Image("library/app", "small", 5000)
	r.mustGet(t, "app", "small")
	_, _, err := r.read(t.Context(), repository(t, "app"), small.Layers[0].Digest)
	require.NoError(t, err)
	image := reg.Image("library/app", "1", layers...)
	r.mustGet(t, "app", "1")
	reg.ResetCounts()
	return image
}

func TestKnownSizeUsesAllConnectionsAtOnce(t *testing.T) {
	reg := upstreamtest.Start(t, upstreamtest.Options{Auth: true, CDN: true})
	store := newStore(t)
	r := startReplica(t, store, reg)
	const segments = 8
	image := pullWarm(t, r, reg, segments*backend.MinPart)
	answers := make(chan struct{})
	reg.Faults.Set(upstreamtest.Fault{Kind: upstreamtest.CDNGet, Hang: true, Until: answers})
	go func() {
		defer close(answers)
		assert.Eventually(t, func() bool { return reg.Counts().Requests[upstreamtest.CDNGet] == 4 }, 5*time.Second, time.Millisecond)
	}()
	got, n, err := r.read(t.Context(), repository(t, "app"), image.Layers[0].Digest)
	require.NoError(t, err)
	assert.Equal(t, image.Layers[0].Digest, got)
	assert.EqualValues(t, segments*backend.MinPart, n)
	counts := reg.Counts()
	assert.EqualValues(t, segments*backend.MinPart, counts.BlobBytes)
	assert.Equal(t, 1, counts.Requests[upstreamtest.BlobGet])
	assert.Equal(t, segments, counts.Requests[upstreamtest.CDNGet], "one request for each segment")
}

func TestWrongSizeInManifestIsHarmless(t *testing.T) {
	reg := upstreamtest.Start(t, upstreamtest.Options{})
	r := startReplica(t, newStore(t), reg)
	pullWarm(t, r, reg, 5000)
	const size = 12 << 20
	content := upstreamtest.Random(9, size)
	d := reg.Blob("library/app", content)
	for _, claimed := range []string{"1", "11534336", "99999999999"} {
		m := reg.Manifest("library/app", "", "application/vnd.oci.image.manifest.v1+json",
			[]byte(`{"schemaVersion":2,"layers":[{"digest":"`+d.String()+`","size":`+claimed+`}]}`))
		other := startReplica(t, newStore(t), reg)
		pullWarm(t, other, reg, 5000)
		other.mustGet(t, "app", m.Digest.String())
		got, n, err := other.read(t.Context(), repository(t, "app"), d)
		require.NoError(t, err, claimed)
		assert.Equal(t, d, got)
		assert.EqualValues(t, size, n)
	}
}
