package mirror_test

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/mirror"
	"github.com/entrepot-io/entrepot/upstream/upstreamtest"
)

// insist requests both lists like a client that wants the upstream asked now.
func (r replica) insist(t *testing.T, d digest.Digest) (tags []string, referrers []v1.Descriptor, lists [2]mirror.List) {
	t.Helper()
	repo := repository(t, "app")
	var err error
	lists[0], err = r.Tags(t.Context(), repo, mirror.ListQuery{Revalidate: true})
	require.NoError(t, err)
	lists[1], err = r.Referrers(t.Context(), repo, d, mirror.ListQuery{Revalidate: true})
	require.NoError(t, err)
	var page struct{ Tags []string }
	require.NoError(t, json.Unmarshal(text(t, lists[0].Body), &page))
	var index v1.Index
	require.NoError(t, json.Unmarshal(text(t, lists[1].Body), &index))
	return page.Tags, index.Manifests, lists
}

func TestInsistingClientGetsCurrentLists(t *testing.T) {
	reg := upstreamtest.Start(t, upstreamtest.Options{})
	image := reg.Image("library/app", "1", 100)
	store := newStore(t)
	r := startReplica(t, store, reg)
	others := func(wantTags []string, wantReferrers int) {
		t.Helper()
		for _, r := range []replica{r, startReplica(t, store, reg)} {
			tags, _, err := r.tags(t, "app", "")
			require.NoError(t, err)
			assert.Equal(t, wantTags, tags)
			referrers, _, err := r.referrers(t, "app", image.Digest)
			require.NoError(t, err)
			assert.Len(t, referrers, wantReferrers)
		}
	}
	others([]string{"1"}, 0)
	reg.Tag("library/app", "2", image.Digest)
	refer(t, reg, image, "a/x")
	others([]string{"1"}, 0)

	tags, referrers, _ := r.insist(t, image.Digest)
	assert.Equal(t, []string{"1", "2"}, tags)
	assert.Len(t, referrers, 1)
	others([]string{"1", "2"}, 1)

	reg.Stop()
	tags, referrers, lists := r.insist(t, image.Digest)
	assert.Equal(t, []string{"1", "2"}, tags)
	assert.Len(t, referrers, 1)
	for _, list := range lists {
		assert.Error(t, list.Stale)
	}
}

func TestInsistingClientFindsNewReferrersAPI(t *testing.T) {
	reg := upstreamtest.Start(t, upstreamtest.Options{})
	image := reg.Image("library/app", "1", 100)
	refer(t, reg, image, "a/x")
	reg.Faults.Set(upstreamtest.Fault{Kind: upstreamtest.Referrers, Status: http.StatusMethodNotAllowed})
	r := startReplica(t, newStore(t), reg)
	_, _, err := r.referrers(t, "app", image.Digest)
	requireStatus(t, http.StatusNotFound, err)
	reg.Faults.Clear()
	r.clock.Advance(time.Hour)
	_, _, err = r.referrers(t, "app", image.Digest)
	requireStatus(t, http.StatusNotFound, err)
	_, referrers, _ := r.insist(t, image.Digest)
	assert.Len(t, referrers, 1)
}
