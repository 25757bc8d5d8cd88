package mirror_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/mirror"
	"github.com/entrepot-io/entrepot/upstream/upstreamtest"
)

const (
	imageType   = "application/vnd.oci.image.manifest.v1+json"
	unknownType = "application/octet-stream"
)

// storedType returns the Content-Type of a manifest to which clients are redirected.
func storedType(t *testing.T, store backend.Store, m *mirror.Manifest) string {
	t.Helper()
	key, stored := m.StoredAt()
	require.True(t, stored)
	body, object, err := store.Get(t.Context(), key, backend.Range{})
	require.NoError(t, err)
	defer body.Close()
	data, err := io.ReadAll(body)
	require.NoError(t, err)
	require.Equal(t, m.Body, data)
	return object.ContentType
}

// assertTypes requests the same manifest in both repositories from one replica after another.
func assertTypes(t *testing.T, store backend.Store, d digest.Digest, want map[string]string, replicas ...replica) {
	t.Helper()
	for _, r := range replicas {
		for repo, mediaType := range want {
			for _, ref := range []string{d.String(), "1", d.String()} {
				got := r.mustGet(t, repo, ref)
				assert.Equal(t, mediaType, got.MediaType, "%s of %s", ref, repo)
				assert.Equal(t, d, got.Digest)
				if mediaType != unknownType {
					assert.Equal(t, mediaType, storedType(t, store, got.Manifest), "%s of %s", ref, repo)
				}
			}
		}
	}
}

func TestMediaTypeIsPerRepository(t *testing.T) {
	for name, c := range map[string]struct {
		body        string
		one, other  string // as pushed
		first, then string // as served
	}{
		"no fields of either":        {`{"schemaVersion":2}`, imageType, indexType, imageType, indexType},
		"the fields of an index":     {`{"manifests":[]}`, imageType, indexType, imageType, indexType},
		"the fields of both":         {`{"manifests":[],"layers":[]}`, imageType, indexType, imageType, indexType},
		"no type":                    {`{"layers":[]}`, "text/plain", "application/vnd.docker.distribution.manifest.v2+json", imageType, "application/vnd.docker.distribution.manifest.v2+json"},
		"an unknown form":            {`{"schemaVersion":2}`, "text/plain", indexType, unknownType, indexType},
		"a wrong type":               {`{"mediaType":"` + indexType + `"}`, imageType, "text/plain", indexType, indexType},
		"a generic type in the body": {`{"mediaType":"application/json"}`, imageType, indexType, imageType, indexType},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, order := range [][]string{{"one", "other"}, {"other", "one"}} {
				for _, byTag := range []bool{true, false} {
					reg := upstreamtest.Start(t, upstreamtest.Options{})
					d := reg.Manifest("library/one", "1", c.one, []byte(c.body)).Digest
					reg.Manifest("library/other", "1", c.other, []byte(c.body))
					want := map[string]string{"one": c.first, "other": c.then}
					store := newStore(t)
					a, b := startReplica(t, store, reg), startReplica(t, store, reg)
					for _, repo := range order {
						ref := d.String()
						if byTag {
							ref = "1"
						}
						assert.Equal(t, want[repo], a.mustGet(t, repo, ref).MediaType)
					}
					assertTypes(t, store, d, want, a, b)
					a.clock.Advance(time.Hour)
					assertTypes(t, store, d, want, b, a)
					if c.first != unknownType { // no further request is needed
						asked := reg.Counts().Requests[upstreamtest.ManifestGet]
						assertTypes(t, store, d, want, startReplica(t, store, reg))
						assert.Equal(t, asked, reg.Counts().Requests[upstreamtest.ManifestGet])
						assert.LessOrEqual(t, asked, 4, "one GET by digest and one by tag for each repository")
					}
					a.clock.Advance(time.Hour)
					reg.Stop()
					assertTypes(t, store, d, want, a, b, startReplica(t, store, reg))
				}
			}
		})
	}
}

func TestGenericMediaTypesAreNotKept(t *testing.T) {
	for _, mediaType := range []string{"text/plain", "application/json", "application/octet-stream", "", "nonsense"} {
		reg := upstreamtest.Start(t, upstreamtest.Options{})
		body := []byte(`{"schemaVersion":2}`)
		d := reg.Manifest("library/app", "1", mediaType, body).Digest
		store := newStore(t)
		for _, ref := range []string{"1", d.String()} {
			assert.Equal(t, unknownType, startReplica(t, store, reg).mustGet(t, "app", ref).MediaType, mediaType)
		}
		// The upstream works again.
		reg.Manifest("library/app", "1", indexType, body)
		r := startReplica(t, store, reg)
		assert.Equal(t, indexType, r.mustGet(t, "app", d.String()).MediaType)
		r.clock.Advance(time.Hour)
		assert.Equal(t, indexType, r.mustGet(t, "app", "1").MediaType)
		reg.Stop()
		assertTypes(t, store, d, map[string]string{"app": indexType}, startReplica(t, store, reg))
	}
}

// restore stores an object again, with another type or with its JSON changed by edit.
func restore(t *testing.T, store backend.Store, key, mediaType string, edit func(map[string]any)) {
	t.Helper()
	body, _, err := store.Get(t.Context(), key, backend.Range{})
	require.NoError(t, err)
	data, err := io.ReadAll(body)
	require.NoError(t, err)
	require.NoError(t, body.Close())
	if edit != nil {
		var fields map[string]any
		require.NoError(t, json.Unmarshal(data, &fields))
		edit(fields)
		data, err = json.Marshal(fields)
		require.NoError(t, err)
	}
	_, err = store.Put(t.Context(), key, strings.NewReader(string(data)), int64(len(data)), backend.PutOptions{ContentType: mediaType})
	require.NoError(t, err)
}

// asWritten returns a bucket as an earlier release left it. That release stored the first type that an upstream named.
func asWritten(t *testing.T, reg *upstreamtest.Registry, d digest.Digest, mediaType string) backend.Store {
	t.Helper()
	store := newStore(t)
	startReplica(t, store, reg).mustGet(t, "app", "1")
	restore(t, store, "public/manifests/sha256/"+d.Encoded(), mediaType, nil)
	restore(t, store, "public/tags/docker.io/library/app/_/1", "application/json", func(record map[string]any) {
		record["mediaType"] = mediaType
	})
	for _, key := range keys(t, store, "public/types/") {
		require.NoError(t, store.Delete(t.Context(), key))
	}
	return store
}

func TestManifestsOfEarlierReleasesAreRead(t *testing.T) {
	for name, c := range map[string]struct{ body, kept, want string }{
		"type in the body":            {`{"mediaType":"` + imageType + `"}`, "text/plain", imageType},
		"record with a generic type":  {`{"layers":[]}`, "text/plain", imageType},
		"record with the form's type": {`{"layers":[]}`, imageType, imageType},
		"type only in the record":     {`{"schemaVersion":2}`, imageType, imageType},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, ref := range []string{"1", "digest"} {
				for _, down := range []bool{true, false} {
					reg := upstreamtest.Start(t, upstreamtest.Options{})
					d := reg.Manifest("library/app", "1", imageType, []byte(c.body)).Digest
					store := asWritten(t, reg, d, c.kept)
					if down {
						reg.Stop()
					}
					if ref != "1" {
						ref = d.String()
					}
					for range 2 {
						r := startReplica(t, store, reg)
						got := r.mustGet(t, "app", ref)
						assert.Equal(t, c.want, got.MediaType)
						if strings.Contains(c.body, "mediaType") {
							assert.Equal(t, c.want, storedType(t, store, got.Manifest), "the stored type is corrected")
						}
						r.clock.Advance(time.Hour)
					}
				}
			}
		})
	}
}

func TestMissingMediaTypeDelaysNobody(t *testing.T) {
	for name, fault := range map[string]upstreamtest.Fault{
		"404":     {Status: http.StatusNotFound},
		"401":     {Status: http.StatusUnauthorized},
		"429":     {Status: http.StatusTooManyRequests},
		"500":     {Status: http.StatusInternalServerError},
		"a page":  {HTML: true},
		"nothing": {Hang: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			reg := upstreamtest.Start(t, upstreamtest.Options{})
			d := reg.Manifest("library/app", "1", imageType, []byte(`{"schemaVersion":2,"layers":[]}`)).Digest
			store := newStore(t)
			startReplica(t, store, reg).mustGet(t, "app", "1")
			r := startReplicaWith(t, store, reg, mirror.Config{Upstreams: newUpstreams(t, reg, 200*time.Millisecond)})
			reg.Faults.Set(fault)
			reg.ResetCounts()
			for range 5 {
				assert.Equal(t, imageType, r.mustGet(t, "other", d.String()).MediaType, "the type follows from the form")
			}
			assert.LessOrEqual(t, reg.Counts().Requests[upstreamtest.ManifestGet], 1)
			reg.Faults.Clear()
			reg.Manifest("library/other", "1", indexType, []byte(`{"schemaVersion":2,"layers":[]}`))
			r.clock.Advance(time.Minute)
			if name != "429" && name != "nothing" { // the upstream stays held back for longer after these
				assert.Equal(t, indexType, r.mustGet(t, "other", d.String()).MediaType)
			}
		})
	}
}

func TestManifestRequestedAsBlob(t *testing.T) {
	reg := upstreamtest.Start(t, upstreamtest.Options{})
	image := reg.Image("library/app", "1", 100)
	untyped := reg.Manifest("library/app", "2", indexType, []byte(`{"schemaVersion":2}`))
	store := newStore(t)
	a := startReplica(t, store, reg)
	a.mustGet(t, "app", "1")
	a.mustGet(t, "app", "2")
	reg.Stop()
	for _, r := range []replica{a, startReplica(t, store, reg)} {
		got := r.CachedManifest(t.Context(), repository(t, "app"), image.Digest)
		require.NotNil(t, got)
		assert.Equal(t, image.Body, got.Body)
		assert.Equal(t, image.MediaType, got.MediaType)
		got = r.CachedManifest(t.Context(), repository(t, "app"), untyped.Digest)
		require.NotNil(t, got)
		assert.Equal(t, indexType, got.MediaType)
		assert.Nil(t, r.CachedManifest(t.Context(), repository(t, "app"), image.Layers[0].Digest))
	}
}
