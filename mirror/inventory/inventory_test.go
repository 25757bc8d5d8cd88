package inventory_test

import (
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/backend/backendtest/memory"
	"github.com/entrepot-io/entrepot/mirror/inventory"
	"github.com/entrepot-io/entrepot/mirror/inventory/inventorytest"
	"github.com/entrepot-io/entrepot/mirror/layout"
)

// bucket is a bucket whose inventory is read.
type bucket struct {
	inventorytest.Bucket
	t testing.TB
}

func newBucket(t testing.TB) bucket { return bucket{inventorytest.New(t), t} }

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
	shared, own := b.Layer('s', 1000), b.Layer('o', 300)
	one, two := b.Image("amd64", nil, shared), b.Image("arm64", nil, shared, own)
	b.Tag("docker.io/library/app", "1", one.Digest)
	b.Tag("docker.io/library/app", "V2", two.Digest)
	b.Tag("docker.io/library/copy", "2", two.Digest)
	used := time.Date(2026, 11, 22, 12, 30, 5, 0, time.UTC)
	b.Now = func() time.Time { return used.Add(-time.Hour) }
	b.Write("access/2026-11-22/"+one.Digest.String(), nil) // as earlier versions did
	b.Now = func() time.Time { return used }
	b.Write(layout.Use(one.Digest), nil)

	images := b.images("", false)
	require.Len(t, images, 3)
	first, second := images["docker.io/library/app:1"], images["docker.io/library/app:V2"]
	assert.Equal(t, one.Digest, first.Digest)
	assert.Equal(t, []string{"linux/amd64"}, first.Platforms)
	assert.EqualValues(t, 1000, first.SharedBytes)
	assert.Greater(t, first.Bytes, 1000+one.Size)
	assert.Equal(t, used, first.LastUsed)
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
	amd, arm := b.Image("amd64", nil, b.Layer('a', 100)), b.Image("arm64", nil, b.Layer('b', 200))
	platform := func(d v1.Descriptor, os, architecture string) v1.Descriptor {
		d.Platform = &v1.Platform{OS: os, Architecture: architecture}
		return d
	}
	missing := v1.Descriptor{Digest: digest.FromString("missing"), Size: 7}
	index := b.JSON(layout.Public.Manifest, v1.Index{MediaType: v1.MediaTypeImageIndex, Manifests: []v1.Descriptor{
		platform(amd, "linux", "amd64"), platform(arm, "linux", "arm64"), platform(missing, "linux", "s390x"),
		platform(amd, "unknown", "unknown"),
	}})
	referrer := b.Image("", &index, b.Layer('r', 50))
	loose := b.Image("riscv64", nil, b.Layer('l', 400))
	b.Tag("ghcr.io/org/app", "1", index.Digest)
	orphan := b.Layer('x', 77)
	b.Write(layout.Public.Segment(digest.FromString("f"), 0, "E"), make([]byte, 10))

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
	d := b.Image("amd64", nil, b.Layer('a', 100)).Digest
	for _, name := range []string{"docker.io/library/app:1", "docker.io/library/app:2", "docker.io/library/app2:1", "ghcr.io/app:1"} {
		at := strings.LastIndex(name, ":")
		b.Tag(name[:at], name[at+1:], d)
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
	good := b.Image("amd64", nil, b.Layer('a', 100))
	b.Tag("docker.io/library/app", "1", good.Digest)
	truncated := layout.Public.Manifest(digest.FromString("other"))
	b.Write(truncated, []byte("{"))
	for tag, body := range map[string]string{"empty": "", "array": "[]", "no-digest": `{"digest":"sha256:x"}`} {
		b.Write(layout.Public.Tag("docker.io", "library/app", tag), []byte(body))
	}
	b.Write(layout.Public.Tag("docker.io", "library/app", "absent"), []byte(`{"absent":true}`))
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
