package mirror_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/mirror"
	"github.com/entrepot-io/entrepot/upstream/upstreamtest"
)

// tags requests a page of tags with a query.
func (r replica) tags(t *testing.T, path, query string) ([]string, mirror.List, error) {
	t.Helper()
	values, err := url.ParseQuery(query)
	require.NoError(t, err)
	list, err := r.Tags(t.Context(), repository(t, path), mirror.ListQuery{URL: values})
	if err != nil {
		return nil, list, err
	}
	var page struct{ Tags []string }
	require.NoError(t, json.Unmarshal(text(t, list.Body), &page))
	require.NotNil(t, page.Tags)
	return page.Tags, list, nil
}

// referrers requests all referrers of a digest.
func (r replica) referrers(t *testing.T, path string, d digest.Digest) ([]v1.Descriptor, mirror.List, error) {
	t.Helper()
	list, err := r.Referrers(t.Context(), repository(t, path), d, mirror.ListQuery{})
	if err != nil {
		return nil, list, err
	}
	var index v1.Index
	require.NoError(t, json.Unmarshal(text(t, list.Body), &index))
	require.NotNil(t, index.Manifests)
	return index.Manifests, list, nil
}

// refer adds a manifest that refers to an image.
func refer(t *testing.T, reg *upstreamtest.Registry, image upstreamtest.Image, artifactType string) {
	t.Helper()
	body, err := json.Marshal(v1.Manifest{MediaType: v1.MediaTypeImageManifest, ArtifactType: artifactType, Subject: &image.Descriptor})
	require.NoError(t, err)
	reg.Manifest("library/app", "", v1.MediaTypeImageManifest, body)
}

func requireStatus(t *testing.T, status int, err error) {
	t.Helper()
	failed := new(mirror.UpstreamError)
	require.ErrorAs(t, err, &failed)
	require.Equal(t, status, failed.Status, "%v", err)
}

func TestReplicasShareOneListRequest(t *testing.T) {
	reg := upstreamtest.Start(t, upstreamtest.Options{})
	image := reg.Image("library/app", "1", 100)
	refer(t, reg, image, "a/x")
	reg.Faults.Set(upstreamtest.Fault{Delay: 200 * time.Millisecond})
	store := newStore(t)
	replicas := []replica{startReplica(t, store, reg), startReplica(t, store, reg), startReplica(t, store, reg)}
	ask := func() {
		var wg sync.WaitGroup
		for i := range 12 {
			wg.Go(func() {
				tags, _, err := replicas[i%len(replicas)].tags(t, "app", "")
				assert.NoError(t, err)
				assert.Equal(t, []string{"1"}, tags)
				manifests, _, err := replicas[i%len(replicas)].referrers(t, "app", image.Digest)
				assert.NoError(t, err)
				assert.Len(t, manifests, 1)
			})
		}
		wg.Wait()
	}
	for round := 1; round <= 2; round++ {
		ask()
		ask()
		counts := reg.Counts().Requests
		assert.Equal(t, round, counts[upstreamtest.Tags])
		assert.Equal(t, round, counts[upstreamtest.Referrers])
		replicas[0].clock.Advance(2 * time.Minute)
	}
}

func TestListsSurviveUpstreamOutage(t *testing.T) {
	for name, break_ := range map[string]func(reg *upstreamtest.Registry){
		"is gone":     func(reg *upstreamtest.Registry) { reg.Stop() },
		"answers 500": func(reg *upstreamtest.Registry) { reg.Faults.Set(upstreamtest.Fault{Status: 500}) },
		"answers 429": func(reg *upstreamtest.Registry) { reg.Faults.Set(upstreamtest.Fault{Status: 429}) },
		"answers 403": func(reg *upstreamtest.Registry) { reg.Faults.Set(upstreamtest.Fault{Status: 403}) },
		"hangs":       func(reg *upstreamtest.Registry) { reg.Faults.Set(upstreamtest.Fault{Hang: true}) },
		"sends an HTML page": func(reg *upstreamtest.Registry) {
			reg.Faults.Set(upstreamtest.Fault{HTML: true, Header: http.Header{"Docker-Content-Digest": nil}})
		},
		"breaks off": func(reg *upstreamtest.Registry) {
			reg.Faults.Set(upstreamtest.Fault{Damage: upstreamtest.Cut, At: 10, Chunked: true})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			reg := upstreamtest.Start(t, upstreamtest.Options{PageSize: 2})
			image := reg.Image("library/app", "1", 100)
			for _, tag := range []string{"2", "3"} {
				reg.Tag("library/app", tag, image.Digest)
				refer(t, reg, image, "a/"+tag)
			}
			unsigned := reg.Image("library/app", "unsigned", 50)
			store := newStore(t)
			start := func() replica {
				return startReplicaWith(t, store, reg, mirror.Config{Upstreams: newUpstreams(t, reg, 300*time.Millisecond)})
			}
			r := start()
			_, _, err := r.tags(t, "app", "")
			require.NoError(t, err)
			for _, d := range []digest.Digest{image.Digest, unsigned.Digest} {
				_, _, err = r.referrers(t, "app", d)
				require.NoError(t, err)
			}
			break_(reg)
			r.clock.Advance(time.Hour)
			for _, r := range []replica{r, start()} {
				tags, list, err := r.tags(t, "app", "")
				require.NoError(t, err)
				assert.Equal(t, []string{"1", "2", "3", "unsigned"}, tags)
				assert.Error(t, list.Stale)
				assert.WithinDuration(t, r.clock.Now().Add(-time.Hour), list.Checked, time.Minute)
				for d, n := range map[digest.Digest]int{image.Digest: 2, unsigned.Digest: 0} {
					manifests, list, err := r.referrers(t, "app", d)
					require.NoError(t, err)
					assert.Len(t, manifests, n)
					assert.Error(t, list.Stale)
				}
			}
		})
	}
}

func TestUncachedListErrorNamesUpstream(t *testing.T) {
	reg := upstreamtest.Start(t, upstreamtest.Options{})
	r := startReplica(t, newStore(t), reg)
	reg.Stop()
	_, _, err := r.tags(t, "app", "")
	requireStatus(t, 0, err)
	_, _, err = r.referrers(t, "app", digest.FromString("x"))
	requireStatus(t, 0, err)
}

func TestMissingReferrersAPISurvivesOutage(t *testing.T) {
	for name, fault := range map[string]upstreamtest.Fault{
		"404 page not found": {Status: 404, Body: []byte("404 page not found\n")},
		"404 UNSUPPORTED":    {Status: 404, Body: []byte(`{"errors":[{"code":"UNSUPPORTED"}]}`)},
		"400":                {Status: 400},
		"403":                {Status: 403},
		"405":                {Status: 405},
		"501":                {Status: 501},
		"an HTML page":       {HTML: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			reg := upstreamtest.Start(t, upstreamtest.Options{})
			image, other := reg.Image("library/app", "1", 100), reg.Image("library/app", "2", 100)
			fault.Kind = upstreamtest.Referrers
			reg.Faults.Set(fault)
			store := newStore(t)
			r := startReplica(t, store, reg)
			_, _, err := r.referrers(t, "app", image.Digest)
			requireStatus(t, http.StatusNotFound, err)
			r.clock.Advance(time.Hour)
			_, _, err = r.referrers(t, "app", image.Digest)
			requireStatus(t, http.StatusNotFound, err)
			_, _, err = r.referrers(t, "app", other.Digest)
			requireStatus(t, http.StatusNotFound, err)
			assert.Equal(t, 1, reg.Counts().Requests[upstreamtest.Referrers], "one request for all digests in the repository")
			reg.Stop()
			for range 2 {
				for _, d := range []digest.Digest{image.Digest, other.Digest, digest.FromString("new")} {
					_, _, err = startReplica(t, store, reg).referrers(t, "app", d)
					requireStatus(t, http.StatusNotFound, err)
				}
				r.clock.Advance(48 * time.Hour)
			}
		})
	}
}

func TestNewReferrersAPIIsFoundWithinADay(t *testing.T) {
	reg := upstreamtest.Start(t, upstreamtest.Options{})
	image := reg.Image("library/app", "1", 100)
	refer(t, reg, image, "a/x")
	reg.Faults.Set(upstreamtest.Fault{Kind: upstreamtest.Referrers, Status: 405})
	r := startReplica(t, newStore(t), reg)
	_, _, err := r.referrers(t, "app", image.Digest)
	requireStatus(t, http.StatusNotFound, err)
	reg.Faults.Clear()
	r.clock.Advance(25 * time.Hour)
	manifests, _, err := r.referrers(t, "app", image.Digest)
	require.NoError(t, err)
	assert.Len(t, manifests, 1)
}

func TestTransientErrorIsNoMissingReferrersAPI(t *testing.T) {
	for name, fault := range map[string]upstreamtest.Fault{
		"500":                            {Status: 500},
		"503":                            {Status: 503},
		"429":                            {Status: 429},
		"401":                            {Status: 401},
		"403 to everything":              {Status: 403},
		"an HTML page for every request": {HTML: true, Header: http.Header{"Docker-Content-Digest": nil}},
		"404 of a proxy to everything":   {Status: 404, Body: []byte("default backend - 404")},
		"a broken connection":            {Drop: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			reg := upstreamtest.Start(t, upstreamtest.Options{})
			image := reg.Image("library/app", "1", 100)
			refer(t, reg, image, "a/x")
			store := newStore(t)
			r := startReplica(t, store, reg)
			r.mustGet(t, "app", "1")
			reg.Faults.Set(fault)
			_, _, err := r.referrers(t, "app", image.Digest)
			require.Error(t, err)
			reg.Faults.Clear()
			manifests, _, err := startReplica(t, store, reg).referrers(t, "app", image.Digest) // its breaker is closed
			require.NoError(t, err)
			assert.Len(t, manifests, 1)
		})
	}
}

func TestOddDigestDoesNotHideOtherReferrers(t *testing.T) {
	reg := upstreamtest.Start(t, upstreamtest.Options{})
	signed, odd, third := reg.Image("library/app", "1", 100), reg.Image("library/app", "2", 100), reg.Image("library/app", "3", 100)
	refer(t, reg, signed, "a/x")
	refer(t, reg, third, "a/x")
	reg.Faults.Set(upstreamtest.Fault{Kind: upstreamtest.Referrers, Digest: odd.Digest, Status: 404, Body: []byte("not found")})
	r := startReplica(t, newStore(t), reg)
	for range 2 {
		manifests, _, err := r.referrers(t, "app", signed.Digest)
		require.NoError(t, err)
		assert.Len(t, manifests, 1)
		_, _, err = r.referrers(t, "app", odd.Digest)
		requireStatus(t, http.StatusNotFound, err)
		manifests, _, err = r.referrers(t, "app", third.Digest)
		require.NoError(t, err)
		assert.Len(t, manifests, 1)
		r.clock.Advance(time.Hour)
	}
}

func TestAbsentDigestTagSurvivesOutage(t *testing.T) {
	reg := upstreamtest.Start(t, upstreamtest.Options{NoReferrers: true})
	image := reg.Image("library/app", "1", 100)
	store := newStore(t)
	r := startReplica(t, store, reg)
	tag := "sha256-" + image.Digest.Encoded()
	names := []string{tag, tag + ".sig", tag + ".att", tag + ".sbom", tag + "_signature"}
	for _, name := range names {
		_, err := r.get(t, "app", name)
		requireStatus(t, http.StatusNotFound, err)
	}
	_, err := r.get(t, "app", "none")
	requireStatus(t, http.StatusNotFound, err)
	reg.Stop()
	r.clock.Advance(time.Hour)
	for _, r := range []replica{r, startReplica(t, store, reg)} {
		for _, name := range names {
			answer, err := r.get(t, "app", name)
			requireStatus(t, http.StatusNotFound, err)
			assert.Error(t, answer.Stale)
		}
		_, err = r.get(t, "app", "none")
		requireStatus(t, 0, err)
	}
}

func TestNewDigestTagIsServed(t *testing.T) {
	reg := upstreamtest.Start(t, upstreamtest.Options{NoReferrers: true})
	image := reg.Image("library/app", "1", 100)
	rules, err := mirror.ParseTTLRules("*:*=forever", time.ParseDuration)
	require.NoError(t, err)
	r := startReplicaWith(t, newStore(t), reg, mirror.Config{TagTTLRules: rules})
	name := "sha256-" + image.Digest.Encoded() + ".sig"
	_, err = r.get(t, "app", name)
	requireStatus(t, http.StatusNotFound, err)
	signature := reg.Image("library/app", name, 50)
	_, err = r.get(t, "app", name)
	requireStatus(t, http.StatusNotFound, err)
	r.clock.Advance(2 * time.Minute)
	assert.Equal(t, signature.Digest, r.mustGet(t, "app", name).Digest)
}

func TestTransientErrorIsNoAbsentTag(t *testing.T) {
	for _, status := range []int{401, 403, 408, 429, 500, 503} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			reg := upstreamtest.Start(t, upstreamtest.Options{})
			image := reg.Image("library/app", "1", 100)
			store := newStore(t)
			r := startReplica(t, store, reg)
			reg.Faults.Set(upstreamtest.Fault{Status: status, Kind: upstreamtest.ManifestGet})
			_, err := r.get(t, "app", "sha256-"+image.Digest.Encoded())
			requireStatus(t, status, err)
			assert.Empty(t, keys(t, store, "public/tags/"))
		})
	}
}

func TestListsOfDeletedRepositoryAreKept(t *testing.T) {
	reg := upstreamtest.Start(t, upstreamtest.Options{})
	image := reg.Image("library/app", "1", 100)
	refer(t, reg, image, "a/x")
	r := startReplica(t, newStore(t), reg)
	_, _, err := r.tags(t, "app", "")
	require.NoError(t, err)
	_, _, err = r.referrers(t, "app", image.Digest)
	require.NoError(t, err)
	reg.Faults.Set(upstreamtest.Fault{Status: 404, Body: []byte(`{"errors":[{"code":"NAME_UNKNOWN"}]}`)})
	r.clock.Advance(time.Hour)
	tags, list, err := r.tags(t, "app", "")
	require.NoError(t, err)
	assert.Equal(t, []string{"1"}, tags)
	requireStatus(t, http.StatusNotFound, list.Stale)
	manifests, list, err := r.referrers(t, "app", image.Digest)
	require.NoError(t, err)
	assert.Len(t, manifests, 1)
	requireStatus(t, http.StatusNotFound, list.Stale)
	r.clock.Advance(31 * 24 * time.Hour)
	_, _, err = r.tags(t, "app", "")
	requireStatus(t, http.StatusNotFound, err)
}

func TestPagesAreCutFromWholeList(t *testing.T) {
	reg := upstreamtest.Start(t, upstreamtest.Options{PageSize: 3})
	image := reg.Image("library/app", "V1", 100)
	for _, tag := range []string{"a", "b", "c", "d", "e"} {
		reg.Tag("library/app", tag, image.Digest)
	}
	r := startReplica(t, newStore(t), reg)
	for query, want := range map[string]struct{ tags, next string }{
		"":                       {"V1 a b c d e", ""},
		"n=2":                    {"V1 a", "last=a&n=2"},
		"n=2&last=a":             {"b c", "last=c&n=2"},
		"n=2&last=c":             {"d e", ""},
		"last=d":                 {"e", ""},
		"last=e":                 {"", ""},
		"last=cc":                {"d e", ""},
		"n=0":                    {"", ""},
		"n=6":                    {"V1 a b c d e", ""},
		"n=99999999999999999999": {"V1 a b c d e", ""},
	} {
		tags, list, err := r.tags(t, "app", query)
		require.NoError(t, err, query)
		assert.Equal(t, want.tags, strings.Join(tags, " "), query)
		assert.Equal(t, want.next, list.Next.Encode(), query)
	}
	for _, query := range []string{"n=x", "n=-1", "n=-99999999999999999999"} {
		_, _, err := r.tags(t, "app", query)
		assert.ErrorIs(t, err, mirror.ErrPage, query)
	}
	assert.Equal(t, 2, reg.Counts().Requests[upstreamtest.Tags])
}

func TestPagesFitIntoALimit(t *testing.T) {
	reg := upstreamtest.Start(t, upstreamtest.Options{})
	image := reg.Image("library/app", "tag-000", 100)
	for i := range 200 {
		reg.Tag("library/app", fmt.Sprintf("tag-%03d", i), image.Digest)
	}
	for i := range 20 {
		refer(t, reg, image, fmt.Sprintf("a/%d", i))
	}
	r, repo := startReplica(t, newStore(t), reg), repository(t, "app")
	entries := func(get func(mirror.ListQuery) (mirror.List, error)) (n int) {
		query := url.Values{}
		for query != nil {
			list, err := get(mirror.ListQuery{URL: query, Limit: 1000})
			require.NoError(t, err)
			require.LessOrEqual(t, list.Body.Size, int64(1000))
			var page struct{ Tags, Manifests []any }
			require.NoError(t, json.Unmarshal(text(t, list.Body), &page))
			n += len(page.Tags) + len(page.Manifests)
			query = list.Next
		}
		return n
	}
	assert.Equal(t, 200, entries(func(q mirror.ListQuery) (mirror.List, error) { return r.Tags(t.Context(), repo, q) }))
	assert.Equal(t, 20, entries(func(q mirror.ListQuery) (mirror.List, error) {
		return r.Referrers(t.Context(), repo, image.Digest, q)
	}))
}

func TestTooLargeListIsPassedThrough(t *testing.T) {
	reg := upstreamtest.Start(t, upstreamtest.Options{PageSize: 10_000})
	image := reg.Image("library/app", "tag", 100)
	for i := range 40_000 {
		reg.Tag("library/app", fmt.Sprintf("tag-%0120d", i), image.Digest)
	}
	r := startReplica(t, newStore(t), reg)
	tags, list, err := r.tags(t, "app", "n=7")
	require.NoError(t, err)
	assert.Len(t, tags, 7)
	assert.Equal(t, "7", list.Next.Get("n"))
	reg.ResetCounts()
	r.clock.Advance(time.Hour)
	tags, _, err = r.tags(t, "app", list.Next.Encode())
	require.NoError(t, err)
	assert.Len(t, tags, 7)
	assert.Equal(t, 1, reg.Counts().Requests[upstreamtest.Tags], "no second attempt to fetch it whole")
}

func TestNoListKeyIsAFolder(t *testing.T) {
	reg := upstreamtest.Start(t, upstreamtest.Options{})
	store := newStore(t)
	r := startReplica(t, store, reg)
	for _, path := range []string{"org/app", "org/app/web", "org", "org/app/web/all"} {
		name := path
		if path == "org" {
			name = "library/org"
		}
		image := reg.Image(name, "1", 100)
		_, _, err := r.tags(t, path, "")
		require.NoError(t, err)
		_, _, err = r.referrers(t, path, image.Digest)
		require.NoError(t, err)
	}
	assert.Len(t, keys(t, store, "public/lists/"), 12)
	assert.Empty(t, keys(t, store, "public/fills/lists/"))
}
