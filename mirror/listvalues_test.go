package mirror_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/backend/backendtest/memory"
	"github.com/entrepot-io/entrepot/bounded"
	"github.com/entrepot-io/entrepot/mirror"
	"github.com/entrepot-io/entrepot/mirror/layout"
	"github.com/entrepot-io/entrepot/upstream"
	"github.com/entrepot-io/entrepot/upstream/upstreamtest"
)

func TestPageContinuesAfterDeletedTag(t *testing.T) {
	for name, test := range map[string]struct{ tags, last, want []string }{
		"in order":               {[]string{"a", "c", "e"}, []string{"b"}, []string{"c", "e"}},
		"the last one":           {[]string{"a", "c", "e"}, []string{"f"}, []string{}},
		"before the first":       {[]string{"b", "c"}, []string{"a"}, []string{"b", "c"}},
		"in order ignoring case": {[]string{"A", "b", "C"}, []string{"Bb"}, []string{"C"}},
		"unordered":              {[]string{"c", "a", "d", "b"}, []string{"bb"}, []string{"c", "d"}},
		"part of another":        {[]string{"x1", "1", "x"}, []string{"1"}, []string{"x"}},
		"no tag at all":          {[]string{"a", "b"}, []string{`","`, `a","b`, `"`, `\`, ","}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			reg := upstreamtest.Start(t, upstreamtest.Options{})
			reg.Image("library/app", "1", 100)
			body, err := json.Marshal(map[string]any{"name": "library/app", "tags": test.tags})
			require.NoError(t, err)
			reg.Faults.Set(upstreamtest.Fault{Kind: upstreamtest.Tags, Body: body})
			r := startReplica(t, newStore(t), reg)
			for _, last := range test.last {
				all, _, err := r.tags(t, "app", url.Values{"last": {last}}.Encode())
				require.NoError(t, err)
				if test.want != nil {
					assert.Equal(t, test.want, all, last)
				}
				var paged []string
				for query := (url.Values{"last": {last}, "n": {"1"}}); query != nil; {
					page, list, err := r.tags(t, "app", query.Encode())
					require.NoError(t, err)
					paged, query = append(paged, page...), list.Next
				}
				assert.Subset(t, paged, all, last)
			}
		})
	}
}

func TestDescriptorsPagedAndFiltered(t *testing.T) {
	reg := upstreamtest.Start(t, upstreamtest.Options{})
	image := reg.Image("library/app", "1", 100)
	var manifests []string
	for i, text := range []string{`","`, `]}`, `\"},{\"`, `a,b`, `\\`, `[{`} {
		manifests = append(manifests, fmt.Sprintf(`{ "annotations" : {"x": ["%s", {}]}, "artifactType":"a/%d", "digest":"%s"}`, text, i%2, digest.FromString(text)))
	}
	body := `{"schemaVersion":2, "manifests" : [` + strings.Join(manifests, " ,\n") + `], "annotations": {"a":"b"}}`
	reg.Faults.Set(upstreamtest.Fault{Kind: upstreamtest.Referrers, Body: []byte(body)})
	store := newStore(t)
	want := func(list mirror.List, some ...string) {
		t.Helper()
		assert.JSONEq(t, `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","annotations":{"a":"b"},"manifests":[`+
			strings.Join(some, ",")+`]}`, string(text(t, list.Body)))
	}
	for _, r := range []replica{startReplica(t, store, reg), startReplica(t, store, reg)} { // the second one reads the record
		ask := func(query url.Values) mirror.List {
			t.Helper()
			list, err := r.Referrers(t.Context(), repository(t, "app"), image.Digest, mirror.ListQuery{URL: query})
			require.NoError(t, err)
			return list
		}
		want(ask(nil), manifests...)
		want(ask(url.Values{"artifactType": {"a/1"}}), manifests[1], manifests[3], manifests[5])
		want(ask(url.Values{"artifactType": {"a/2"}}))
		first := ask(url.Values{"artifactType": {"a/0"}, "n": {"2"}})
		want(first, manifests[0], manifests[2])
		second := ask(first.Next)
		want(second, manifests[4])
		assert.Nil(t, second.Next)
	}
	assert.Equal(t, 1, reg.Counts().Requests[upstreamtest.Referrers])
}

func TestUnreadableListRecordsReplaced(t *testing.T) {
	d := digest.FromString("x")
	for name, test := range map[string]struct {
		tags, referrers string
		readable        bool
	}{
		"unchanged":      {`{"name":"n","tags":["old"],"nonce":"x"}`, `{"index":{"a":1},"manifests":[{"digest":"` + d.String() + `"}]}`, true},
		"edited by hand": {"{\"name\": \"n\", \"tags\": [\"old\"]}\n", `{ "manifests": [ {"digest":"` + d.String() + `"} ] }`, true},
		"not an array":   {`{"name":"n","tags":"old"}`, `{"manifests":{}}`, false},
		"null":           {`{"name":"","tags":null}`, `{"manifests":null}`, false},
		"other tags":     {`{"name":"n","tags":[1]}`, `{"index":[],"manifests":[]}`, false},
		"escapes":        {`{"name":"n","tags":["\u006fld"]}`, `{"index":1,"manifests":[]}`, false},
		"spaces":         {`{"name":"n","tags":[ "old"]}`, `[]`, false},
		"long nonce":     {`{"name":"n","tags":["old"],"nonce":"` + strings.Repeat("x", 1000) + `"}`, `{"manifests":[],"nonce":"` + strings.Repeat("x", 1000) + `"}`, false},
		"long index":     {`[]`, `{"index":{"x":"` + strings.Repeat("x", 100_000) + `"},"manifests":[]}`, false},
		"large":          {strings.Repeat(" ", 9<<20), strings.Repeat(" ", 9<<20), false},
		"not JSON":       {`{"name":"n","tags":["old"]`, `{"manifests":[}`, false},
		"of two kinds":   {`{"manifests":[]}`, `{"tags":[]}`, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			reg := upstreamtest.Start(t, upstreamtest.Options{})
			reg.Image("library/app", "new", 100)
			store := newStore(t)
			for key, record := range map[string]string{
				layout.Public.TagList("docker.io", "library/app"): test.tags, layout.Public.ReferrerList("docker.io", "library/app", d): test.referrers,
			} {
				_, err := store.Put(t.Context(), key, strings.NewReader(record), int64(len(record)), backend.PutOptions{})
				require.NoError(t, err)
			}
			r := startReplica(t, store, reg)
			tags, _, err := r.tags(t, "app", "")
			require.NoError(t, err)
			manifests, _, err := r.referrers(t, "app", d)
			require.NoError(t, err)
			if test.readable {
				assert.Equal(t, []string{"old"}, tags)
				assert.Len(t, manifests, 1)
			} else {
				assert.Equal(t, []string{"new"}, tags)
				assert.Empty(t, manifests)
			}
		})
	}
}

// largeTags returns a list that is too large to be stored.
func largeTags(first string) []byte {
	return []byte(`{"name":"library/app","tags":["` + first + `"` + strings.Repeat(`,"0123456789"`, 400_000) + `]}`)
}

func TestPassedPageSharedWhileRead(t *testing.T) {
	reg := upstreamtest.Start(t, upstreamtest.Options{})
	reg.Image("library/app", "1", 100)
	reg.Faults.Set(upstreamtest.Fault{Kind: upstreamtest.Tags, Body: largeTags("first")})
	r := startReplica(t, newStore(t), reg)
	asked := func() int { return reg.Counts().Requests[upstreamtest.Tags] }
	first := func(query string) (string, mirror.List) {
		t.Helper()
		tags, list, err := r.tags(t, "app", query)
		require.NoError(t, err)
		return tags[0], list
	}
	_, list := first("")
	before := asked()
	reg.Faults.Set(upstreamtest.Fault{Kind: upstreamtest.Tags, Body: largeTags("second")})
	got, _ := first("")
	assert.Equal(t, "first", got)
	assert.Equal(t, before, asked())
	got, _ = first("n=7")
	assert.Equal(t, "second", got, "another page is not shared")
	r.clock.Advance(2 * time.Minute)
	got, _ = first("")
	assert.Equal(t, "second", got, "a page that is not fresh is not shared")
	assert.Contains(t, string(text(t, list.Body)[:100]), "first", "the reader still has the first page")

	reg.Faults.Set(upstreamtest.Fault{Kind: upstreamtest.Tags, Body: largeTags("third")})
	runtime.GC() // frees the first page, which has no reader now
	got, _ = first("")
	assert.Equal(t, "third", got)
}

func TestStaleServedWithoutMemory(t *testing.T) {
	reg := upstreamtest.Start(t, upstreamtest.Options{})
	image := reg.Image("library/app", "1", 100)
	base, err := url.Parse(reg.URL())
	require.NoError(t, err)
	memory := bounded.NewBudget(1 << 20)
	u, err := upstream.New(upstream.Config{
		Name: "docker.io", Endpoints: []*url.URL{base}, Transport: http.DefaultTransport, Memory: memory.Share(memory.Size()),
	})
	require.NoError(t, err)
	r := startReplicaWith(t, newStore(t), reg, mirror.Config{Upstreams: []*upstream.Registry{u}, Memory: memory})
	r.mustGet(t, "app", "1")
	_, _, err = r.tags(t, "app", "")
	require.NoError(t, err)

	hold := memory.Hold()
	require.NoError(t, hold.Take(t.Context(), memory.Size()))
	body := slices.Concat([]byte(`{"layers":[],"x":"`), slices.Repeat([]byte("x"), 100_000), []byte(`"}`))
	moved := reg.Manifest("library/app", "1", "application/vnd.oci.image.manifest.v1+json", body)
	reg.Faults.Set(upstreamtest.Fault{Kind: upstreamtest.Tags, Body: largeTags("x")[:1<<20]})
	r.clock.Advance(time.Hour)
	answer := r.mustGet(t, "app", "1")
	assert.Equal(t, image.Digest, answer.Digest)
	assert.Error(t, answer.Stale)
	tags, list, err := r.tags(t, "app", "")
	require.NoError(t, err)
	assert.Equal(t, []string{"1"}, tags)
	assert.Error(t, list.Stale)
	require.NoError(t, u.Trouble(), "it is not the upstream's fault")

	hold.Release()
	require.Eventually(t, func() bool { return r.mustGet(t, "app", "1").Digest == moved.Digest }, 30*time.Second, 10*time.Millisecond)
}

func TestLargeManifestRefusedWithoutMemory(t *testing.T) {
	inBubble(t, func(t *testing.T, o *origin) {
		o.body = `{"mediaType":"` + indexType + `","manifests":[],"x":"` + strings.Repeat("x", 100_000) + `"}`
		large := o.digest().String()
		store := new(memory.Store)
		bubbled(t, store, o, mirror.Config{}).mustGet(t, "app", large)
		budget := bounded.NewBudget(1 << 20)
		r := bubbled(t, store, o, mirror.Config{Memory: budget})
		hold := budget.Hold()
		require.NoError(t, hold.Take(t.Context(), budget.Size()))
		_, err := r.get(t, "app", large)
		require.ErrorIs(t, err, mirror.ErrNoMemory)
		require.NotErrorIs(t, err, backend.ErrLate, "it is not the store's fault")
		hold.Release()
		assert.Equal(t, o.body, string(r.mustGet(t, "app", large).Body))
		assert.Equal(t, 1, o.count(http.MethodGet))
	})
}
