package inventory_test

import (
	"bytes"
	"context"
	"encoding/json"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/backend/backendtest/memory"
	"github.com/entrepot-io/entrepot/mirror/inventory"
	"github.com/entrepot-io/entrepot/mirror/layout"
)

// bucket writes objects as mirror does.
type bucket struct {
	*memory.Store
	t testing.TB
}

func newBucket(t testing.TB) bucket { return bucket{new(memory.Store), t} }

func (b bucket) put(key string, body []byte) {
	b.t.Helper()
	_, err := b.Put(context.Background(), key, bytes.NewReader(body), int64(len(body)), backend.PutOptions{})
	require.NoError(b.t, err)
}

func (b bucket) putJSON(key func(digest.Digest) string, document any) v1.Descriptor {
	b.t.Helper()
	body, err := json.Marshal(document)
	require.NoError(b.t, err)
	d := digest.FromBytes(body)
	b.put(key(d), body)
	return v1.Descriptor{Digest: d, Size: int64(len(body))}
}

// layer stores a blob of size bytes.
func (b bucket) layer(seed byte, size int) v1.Descriptor {
	content := bytes.Repeat([]byte{seed}, size)
	d := digest.FromBytes(content)
	b.put(layout.Public.Blob(d), content)
	return v1.Descriptor{Digest: d, Size: int64(size), MediaType: v1.MediaTypeImageLayer}
}

func (b bucket) image(architecture string, subject *v1.Descriptor, layers ...v1.Descriptor) v1.Descriptor {
	config := b.putJSON(layout.Public.Blob, v1.Image{Platform: v1.Platform{OS: "linux", Architecture: architecture}})
	return b.putJSON(layout.Public.Manifest, v1.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageManifest, Config: config, Layers: layers, Subject: subject,
	})
}

func (b bucket) tag(repository, tag string, d digest.Digest) {
	body, err := json.Marshal(map[string]any{"digest": d, "mediaType": v1.MediaTypeImageManifest})
	require.NoError(b.t, err)
	registry, path, _ := strings.Cut(repository, "/")
	b.put(layout.Public.Tag(registry, path, tag), body)
}

func (b bucket) read() *inventory.Inventory {
	b.t.Helper()
	v, err := inventory.Read(b.t.Context(), inventory.Config{Store: b, Realm: layout.Public})
	require.NoError(b.t, err)
	return v
}

func (b bucket) images(pattern string, digests bool) map[string]inventory.Image {
	b.t.Helper()
	var p inventory.Pattern
	if pattern != "" {
		p = inventory.ParsePattern(pattern)
	}
	list, err := b.read().Images(b.t.Context(), p, digests)
	require.NoError(b.t, err)
	images := map[string]inventory.Image{}
	for _, i := range list {
		images[i.Name()] = i
	}
	require.Len(b.t, images, len(list))
	return images
}

func TestImagesShareLayers(t *testing.T) {
	b := newBucket(t)
	shared, own := b.layer('s', 1000), b.layer('o', 300)
	one, two := b.image("amd64", nil, shared), b.image("arm64", nil, shared, own)
	b.tag("docker.io/library/app", "1", one.Digest)
	b.tag("docker.io/library/app", "V2", two.Digest)
	b.tag("docker.io/library/copy", "2", two.Digest)
	b.put(layout.Use("2026-11-20", one.Digest), nil)
	b.put(layout.Use("2026-11-22", one.Digest), nil)

	images := b.images("", false)
	require.Len(t, images, 3)
	first, second := images["docker.io/library/app:1"], images["docker.io/library/app:V2"]
	assert.Equal(t, one.Digest, first.Digest)
	assert.Equal(t, []string{"linux/amd64"}, first.Platforms)
	assert.EqualValues(t, 1000, first.SharedBytes)
	assert.Greater(t, first.Bytes, 1000+one.Size)
	assert.Equal(t, time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC), first.LastUsed)
	assert.WithinDuration(t, time.Now(), first.LastChecked, time.Minute)
	assert.WithinDuration(t, time.Now(), first.FirstCached, time.Minute)
	assert.EqualValues(t, 1000, second.SharedBytes, "two tags of one digest are one image")
	assert.True(t, second.LastUsed.IsZero())

	usage := b.read().Usage(inventory.Pattern{})
	assert.Equal(t, b.plainListing(), usage.Amount)
	assert.Equal(t, usage.LogicalBytes-usage.SavedBytes, first.Bytes+second.Bytes-1000)
	require.Len(t, usage.Repositories, 2)
	app, other := usage.Repositories[0], usage.Repositories[1]
	assert.Equal(t, inventory.Repository{
		Repository: "docker.io/library/app", Tags: 2, Bytes: first.Bytes + second.Bytes - 1000, ExclusiveBytes: first.Bytes - 1000,
	}, app)
	assert.Equal(t, inventory.Repository{Repository: "docker.io/library/copy", Tags: 1, Bytes: second.Bytes}, other)
	assert.Zero(t, usage.Unreferenced)
}

// plainListing counts what the bucket lists.
func (b bucket) plainListing() (all inventory.Amount) {
	for o, err := range b.List(b.t.Context(), "", "") {
		require.NoError(b.t, err)
		all.Objects++
		all.Bytes += o.Size
	}
	return all
}

func TestIndexHoldsCachedChildrenAndReferrers(t *testing.T) {
	b := newBucket(t)
	amd, arm := b.image("amd64", nil, b.layer('a', 100)), b.image("arm64", nil, b.layer('b', 200))
	platform := func(d v1.Descriptor, os, architecture string) v1.Descriptor {
		d.Platform = &v1.Platform{OS: os, Architecture: architecture}
		return d
	}
	missing := v1.Descriptor{Digest: digest.FromString("missing"), Size: 7}
	index := b.putJSON(layout.Public.Manifest, v1.Index{MediaType: v1.MediaTypeImageIndex, Manifests: []v1.Descriptor{
		platform(amd, "linux", "amd64"), platform(arm, "linux", "arm64"), platform(missing, "linux", "s390x"),
		platform(amd, "unknown", "unknown"),
	}})
	referrer := b.image("", &index, b.layer('r', 50))
	loose := b.image("riscv64", nil, b.layer('l', 400))
	b.tag("ghcr.io/org/app", "1", index.Digest)
	orphan := b.layer('x', 77)
	b.put(layout.Public.Segment(digest.FromString("f"), 0, "E"), make([]byte, 10))

	images := b.images("", true)
	require.Len(t, images, 2, "neither children nor referrers are images of their own")
	image := images["ghcr.io/org/app:1"]
	assert.Equal(t, []string{"linux/amd64", "linux/arm64"}, image.Platforms)
	assert.GreaterOrEqual(t, image.Bytes, 100+200+50+amd.Size+arm.Size+index.Size+referrer.Size)
	assert.Equal(t, []string{"linux/riscv64"}, images[loose.Digest.String()].Platforms)

	usage := b.read().Usage(inventory.Pattern{})
	assert.Equal(t, inventory.Amount{Objects: 1, Bytes: 10}, usage.Fills)
	assert.EqualValues(t, 4, usage.Unreferenced.Objects, "the loose image with its config and layer, and the orphan")
	assert.Greater(t, usage.Unreferenced.Bytes, 400+orphan.Size+loose.Size)
}

func TestPatternsSelectImages(t *testing.T) {
	b := newBucket(t)
	d := b.image("amd64", nil, b.layer('a', 100)).Digest
	for _, name := range []string{"docker.io/library/app:1", "docker.io/library/app:2", "docker.io/library/app2:1", "ghcr.io/app:1"} {
		at := strings.LastIndex(name, ":")
		b.tag(name[:at], name[at+1:], d)
	}
	for pattern, want := range map[string]int{
		"": 4, "*": 4, "docker.io/*": 3, "docker.io/library/app": 2, "docker.io/library/app:1": 1, "*:1": 3,
		"*@" + d.String(): 4, "app": 0, "docker.io": 0, "ghcr.io/app": 1, "ghcrXio/app": 0,
	} {
		assert.Len(t, b.images(pattern, false), want, "pattern %q", pattern)
	}
}

func TestDamagedObjectsAreListed(t *testing.T) {
	b := newBucket(t)
	good := b.image("amd64", nil, b.layer('a', 100))
	b.tag("docker.io/library/app", "1", good.Digest)
	truncated := layout.Public.Manifest(digest.FromString("other"))
	b.put(truncated, []byte("{"))
	for tag, body := range map[string]string{"empty": "", "array": "[]", "no-digest": `{"digest":"sha256:x"}`} {
		b.put(layout.Public.Tag("docker.io", "library/app", tag), []byte(body))
	}
	b.put(layout.Public.Tag("docker.io", "library/app", "absent"), []byte(`{"absent":true}`))
	v := b.read()
	var damaged []string
	for _, d := range v.Damaged {
		damaged = append(damaged, d.Key[strings.LastIndex(d.Key, "/")+1:])
	}
	assert.ElementsMatch(t, []string{"empty", "array", "no-digest", digest.FromString("other").Encoded()}, damaged)
	images, err := v.Images(t.Context(), inventory.Pattern{}, false)
	require.NoError(t, err)
	assert.Len(t, images, 1)
}

func TestBlobsTakeLittleMemory(t *testing.T) {
	store := &huge{Store: new(memory.Store), blobs: 100_000}
	before := heap()
	v, err := inventory.Read(t.Context(), inventory.Config{Store: store, Realm: layout.Public})
	require.NoError(t, err)
	perBlob := float64(heap()-before) / float64(store.blobs)
	assert.Less(t, perBlob, 100.0, "bytes per blob")
	assert.EqualValues(t, store.blobs, v.Total.Objects)
	runtime.KeepAlive(v)
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
