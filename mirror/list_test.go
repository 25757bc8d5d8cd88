package mirror_test

import (
	"encoding/json"
	"net/url"
	"testing"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/mirror"
	"github.com/entrepot-io/entrepot/upstream/upstreamtest"
)

func TestReferrersAreFilteredHereOrUpstream(t *testing.T) {
	reg := upstreamtest.Start(t, upstreamtest.Options{})
	image := reg.Image("library/app", "1", 100)
	for _, kind := range []string{"a/x", "a/y"} {
		body, err := json.Marshal(v1.Manifest{MediaType: v1.MediaTypeImageManifest, ArtifactType: kind, Subject: &image.Descriptor})
		require.NoError(t, err)
		reg.Manifest("library/app", "", v1.MediaTypeImageManifest, body)
	}
	r, repo := startReplica(t, newStore(t), reg), repository(t, "app")
	list := func(query url.Values) []v1.Descriptor {
		t.Helper()
		got, err := r.Referrers(t.Context(), repo, image.Digest, mirror.ListQuery{URL: query})
		require.NoError(t, err)
		assert.Equal(t, query.Has("artifactType"), got.Filtered)
		var index v1.Index
		require.NoError(t, json.Unmarshal(text(t, got.Body), &index))
		assert.NotNil(t, index.Manifests)
		return index.Manifests
	}
	assert.Len(t, list(nil), 2)
	for _, ignored := range []bool{false, true} {
		if ignored { // an upstream that leaves filtering to its clients
			whole, err := r.Referrers(t.Context(), repo, image.Digest, mirror.ListQuery{})
			require.NoError(t, err)
			reg.Faults.Set(upstreamtest.Fault{Kind: upstreamtest.Referrers, Status: 200, Body: text(t, whole.Body)})
		}
		for kind, n := range map[string]int{"a/x": 1, "a/none": 0} {
			got := list(url.Values{"artifactType": {kind}})
			assert.Len(t, got, n, "%s, filter ignored: %v", kind, ignored)
		}
	}
}

func TestNoReferrersIsAnEmptyIndex(t *testing.T) {
	reg := upstreamtest.Start(t, upstreamtest.Options{})
	reg.Image("library/app", "1", 100)
	got, err := startReplica(t, newStore(t), reg).Referrers(t.Context(), repository(t, "app"), digest.FromString("x"), mirror.ListQuery{})
	require.NoError(t, err)
	var index v1.Index
	require.NoError(t, json.Unmarshal(text(t, got.Body), &index))
	assert.Empty(t, index.Manifests)
	assert.Equal(t, v1.MediaTypeImageIndex, got.MediaType)
}
