package mirror_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/upstream"
	"github.com/entrepot-io/entrepot/upstream/upstreamtest"
)

func TestManifestOfAnyTypeIsUnchanged(t *testing.T) {
	reg := upstreamtest.Start(t, upstreamtest.Options{})
	store := newStore(t)
	for mediaType, body := range map[string]string{
		"application/vnd.docker.distribution.manifest.v2+json":      `{"schemaVersion":2,   "config":{}}`,
		"application/vnd.docker.distribution.manifest.list.v2+json": `{"schemaVersion":2,"manifests":[]}` + "\n",
		"application/vnd.oci.image.manifest.v1+json":                "\n\t{ \"schemaVersion\": 2 , \"unknown\" : 1e400 }",
		"application/vnd.oci.image.index.v1+json":                   `{"manifests":[{"platform":{"os":"unknown","architecture":"unknown"}}]}`,
		"application/vnd.cncf.helm.config.v1+json":                  `{"\u0061":"b"}`,
		"application/x.unknown":                                     `{}`,
	} {
		pushed := reg.Manifest("library/app", "t", mediaType, []byte(body))
		for range 2 { // from the upstream, then from the bucket
			got := startReplica(t, store, reg).mustGet(t, "app", pushed.Digest.String())
			assert.Equal(t, body, string(got.Body))
			assert.Equal(t, mediaType, got.MediaType)
		}
		assert.Equal(t, 1, reg.Counts().Requests[upstreamtest.ManifestGet], mediaType)
		assert.Empty(t, reg.Counts().Violations)
		reg.ResetCounts()
	}
}

func TestSchema1IsPassedThrough(t *testing.T) {
	reg := upstreamtest.Start(t, upstreamtest.Options{})
	const mediaType = "application/vnd.docker.distribution.manifest.v1+prettyjws"
	signed := digest.FromString("the payload without its signatures")
	reg.Manifest("library/old", "1", mediaType, []byte(`{"schemaVersion":1}`))
	reg.Faults.Set(upstreamtest.Fault{Header: http.Header{"Docker-Content-Digest": {signed.String()}}})
	store := newStore(t)
	got := startReplica(t, store, reg).mustGet(t, "old", "1")
	assert.Equal(t, `{"schemaVersion":1}`, string(got.Body))
	assert.Equal(t, mediaType, got.MediaType)
	assert.Equal(t, signed, got.Digest)
	assert.Empty(t, keys(t, store, ""))
}

func TestBadManifestIsNeverStored(t *testing.T) {
	reg := upstreamtest.Start(t, upstreamtest.Options{})
	image := reg.Image("library/app", "1", 100)
	store := newStore(t)
	r := startReplica(t, store, reg)
	for _, fault := range []upstreamtest.Fault{
		{Kind: upstreamtest.ManifestGet, Damage: upstreamtest.Corrupt, At: 30},
		{Kind: upstreamtest.ManifestGet, Damage: upstreamtest.Truncate, At: 30},
		{Kind: upstreamtest.ManifestGet, Damage: upstreamtest.Cut, At: 30},
		{Kind: upstreamtest.ManifestGet, HTML: true},
	} {
		reg.Faults.Set(fault)
		for _, ref := range []string{"1", image.Digest.String()} {
			_, err := r.get(t, "app", ref)
			require.Error(t, err)
		}
		assert.Empty(t, keys(t, store, ""))
	}
	reg.Faults.Clear()
	assert.Equal(t, image.Digest, r.mustGet(t, "app", "1").Digest)
}

func TestDamagedManifestIsFetchedAgain(t *testing.T) {
	reg := upstreamtest.Start(t, upstreamtest.Options{})
	image := reg.Image("library/app", "1", 100)
	store := newStore(t)
	startReplica(t, store, reg).mustGet(t, "app", "1")
	key := "public/manifests/sha256/" + image.Digest.Encoded()
	_, err := store.Put(t.Context(), key, strings.NewReader("{}"), 2, backend.PutOptions{})
	require.NoError(t, err)
	for range 2 {
		assert.Equal(t, image.Body, startReplica(t, store, reg).mustGet(t, "app", "1").Body)
	}
	assert.Equal(t, 2, reg.Counts().Requests[upstreamtest.ManifestGet])
}

func TestTooLargeManifestIsRefused(t *testing.T) {
	reg := upstreamtest.Start(t, upstreamtest.Options{})
	body := `{"a":"` + strings.Repeat("x", upstream.MaxManifest) + `"}`
	pushed := reg.Manifest("library/app", "1", "application/json", []byte(body))
	_, err := startReplica(t, newStore(t), reg).get(t, "app", pushed.Digest.String())
	assert.ErrorContains(t, err, "larger than")
}
