package warm_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	ggcr "github.com/google/go-containerregistry/pkg/v1"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	imagespec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/backend/backendtest/memory"
	"github.com/entrepot-io/entrepot/mirror"
	"github.com/entrepot-io/entrepot/mirror/layout"
	"github.com/entrepot-io/entrepot/mirror/warm"
	"github.com/entrepot-io/entrepot/upstream"
	"github.com/entrepot-io/entrepot/upstream/upstreamtest"
)

const path = "org/app"

// world is a mirror with an empty store and an upstream.
type world struct {
	reg   *upstreamtest.Registry
	store backend.Store
	core  *mirror.Mirror
}

func newWorld(t *testing.T, options upstreamtest.Options) world {
	t.Helper()
	return newWorldOn(t, new(memory.Store), options)
}

func newWorldOn(t *testing.T, store backend.Store, options upstreamtest.Options) world {
	t.Helper()
	reg := upstreamtest.Start(t, options)
	base, err := url.Parse(reg.URL())
	require.NoError(t, err)
	u, err := upstream.New(upstream.Config{
		Name: upstream.DockerHub, Endpoints: []*url.URL{base}, Transport: upstream.NewTransport(upstream.Timeouts{}), Budget: 10 * time.Second,
	})
	require.NoError(t, err)
	core := mirror.New(mirror.Config{
		Store: store, Upstreams: []*upstream.Registry{u}, SegmentSize: backend.MinPart,
		Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	})
	t.Cleanup(core.Close)
	return world{reg, store, core}
}

// progress sums up what a Warmer reports.
type progress struct {
	expected, advanced atomic.Int64
	then               func(advanced int64) // nil: nothing
}

func (p *progress) Expect(bytes int64) { p.expected.Add(bytes) }

func (p *progress) Advance(bytes int64) {
	if advanced := p.advanced.Add(bytes); p.then != nil {
		p.then(advanced)
	}
}

// warm lands the tag v1.
func (w world) warm(t *testing.T, cfg warm.Config) (warm.Result, *progress, error) {
	t.Helper()
	p := new(progress)
	result, err := w.warmWith(t, cfg, p)
	return result, p, err
}

func (w world) warmWith(t *testing.T, cfg warm.Config, p *progress) (warm.Result, error) {
	t.Helper()
	repo, err := upstream.ParseRepository(upstream.DockerHub, path)
	require.NoError(t, err)
	ref, err := mirror.ParseReference("v1")
	require.NoError(t, err)
	cfg.Mirror, cfg.Blobs = w.core, 2
	return warm.New(cfg).Image(t.Context(), repo, ref, p)
}

// stored returns the manifests and blobs in the store.
func (w world) stored(t *testing.T) (all []digest.Digest) {
	t.Helper()
	for object, err := range w.store.List(t.Context(), "", "") {
		require.NoError(t, err)
		if kind, d, ok := layout.Public.ParseContent(object.Key); ok && (kind == "manifests" || kind == "blobs") {
			all = append(all, d)
		}
	}
	return all
}

// contents returns the digests of an image and all that it names.
func contents(images ...upstreamtest.Image) (all []digest.Digest) {
	for _, image := range images {
		all = append(all, image.Digest, image.Config.Digest)
		for _, layer := range image.Layers {
			all = append(all, layer.Digest)
		}
	}
	return all
}

func size(images ...upstreamtest.Image) (sum int64) {
	for _, image := range images {
		sum += image.Size + image.Config.Size
		for _, layer := range image.Layers {
			sum += layer.Size
		}
	}
	return sum
}

func TestImageLandsSelectedContent(t *testing.T) {
	arm := []ggcr.Platform{{OS: "linux", Architecture: "arm64"}}
	for name, test := range map[string]struct {
		config warm.Config
		want   func(upstreamtest.Index) []upstreamtest.Image
	}{
		"all platforms": {warm.Config{}, func(i upstreamtest.Index) []upstreamtest.Image {
			return append(i.Images, i.Attestations...)
		}},
		"one platform": {warm.Config{Platforms: arm}, func(i upstreamtest.Index) []upstreamtest.Image {
			return i.Images[1:]
		}},
		"one platform and its attestations": {warm.Config{Platforms: arm, Referrers: true}, func(i upstreamtest.Index) []upstreamtest.Image {
			return []upstreamtest.Image{i.Images[1], i.Attestations[1]}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, upstreamtest.Options{})
			index := w.reg.Index(path, "v1", 3000, 500)
			want := test.want(index)

			first, p, err := w.warm(t, test.config)
			require.NoError(t, err)
			assert.ElementsMatch(t, append(contents(want...), index.Digest), w.stored(t))
			assert.Equal(t, index.Digest, first.Digest)
			assert.Equal(t, index.Size+size(want...), first.Bytes)
			var blobs int64
			for _, image := range want {
				blobs += size(image) - image.Size
			}
			assert.Equal(t, blobs, p.expected.Load())
			assert.Equal(t, blobs, p.advanced.Load())

			w.reg.ResetCounts()
			second, p, err := w.warm(t, test.config)
			require.NoError(t, err)
			assert.Equal(t, warm.Result{Digest: index.Digest, Bytes: first.Bytes}, second, "nothing new landed")
			assert.Equal(t, blobs, p.advanced.Load(), "cached blobs advance too")
			assert.Zero(t, w.reg.Counts().BlobBytes)
		})
	}
}

// refer pushes a manifest that refers to another one.
func refer(t *testing.T, reg *upstreamtest.Registry, subject imagespec.Descriptor) upstreamtest.Image {
	t.Helper()
	image := reg.Image(path, "", 100)
	body, err := json.Marshal(imagespec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: imagespec.MediaTypeImageManifest,
		Config: image.Config, Layers: image.Layers, Subject: &subject,
	})
	require.NoError(t, err)
	return upstreamtest.Image{Descriptor: reg.Manifest(path, "", imagespec.MediaTypeImageManifest, body), Config: image.Config, Layers: image.Layers}
}

func TestReferrersLandWithTheirReferrers(t *testing.T) {
	for name, options := range map[string]upstreamtest.Options{"with the API": {}, "without the API": {NoReferrers: true}} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, options)
			image := w.reg.Image(path, "v1", 1000)
			signature := w.reg.Image(path, "sha256-"+image.Digest.Encoded()+".sig", 50)
			listed := refer(t, w.reg, image.Descriptor)
			nested := refer(t, w.reg, listed.Descriptor)
			fallback := w.reg.Image(path, "", 70)
			list, err := json.Marshal(imagespec.Index{
				Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: imagespec.MediaTypeImageIndex,
				Manifests: []imagespec.Descriptor{fallback.Descriptor},
			})
			require.NoError(t, err)
			tagged := w.reg.Manifest(path, "sha256-"+image.Digest.Encoded(), imagespec.MediaTypeImageIndex, list)

			_, _, err = w.warm(t, warm.Config{})
			require.NoError(t, err)
			assert.ElementsMatch(t, contents(image), w.stored(t), "referrers are optional")
			_, _, err = w.warm(t, warm.Config{Referrers: true})
			require.NoError(t, err)
			want := append(contents(image, signature, fallback), tagged.Digest)
			if !options.NoReferrers {
				want = append(want, contents(listed, nested)...)
			}
			assert.ElementsMatch(t, want, w.stored(t))
		})
	}
}

func TestLandedCountsFetchedBlobs(t *testing.T) {
	w := newWorld(t, upstreamtest.Options{})
	image := w.reg.Image(path, "v1", 100_000)
	release := make(chan struct{})
	w.reg.Faults.Set(upstreamtest.Fault{Digest: image.Layers[0].Digest, Damage: upstreamtest.Stall, At: 50_000, Until: release})
	p := &progress{then: func(advanced int64) {
		if advanced == image.Config.Size+50_000 {
			close(release)
		}
	}}
	result, err := w.warmWith(t, warm.Config{}, p)
	require.NoError(t, err)
	assert.GreaterOrEqual(t, result.Landed, int64(100_000))
	assert.Equal(t, image.Config.Size+100_000, p.advanced.Load())
}

func TestForeignLayersSkipped(t *testing.T) {
	w := newWorld(t, upstreamtest.Options{})
	own := w.reg.Image(path, "", 1000).Layers[0]
	foreign := imagespec.Descriptor{
		MediaType: "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", Digest: digest.FromString("elsewhere"), Size: 7,
	}
	image := w.reg.ImageOf(path, "v1", foreign, own)
	result, _, err := w.warm(t, warm.Config{})
	require.NoError(t, err)
	assert.ElementsMatch(t, []digest.Digest{image.Digest, image.Config.Digest, own.Digest}, w.stored(t))
	assert.Equal(t, image.Size+image.Config.Size+1000, result.Bytes)
}

func TestProgressCorrectsManifestsSizes(t *testing.T) {
	w := newWorld(t, upstreamtest.Options{})
	layer := w.reg.Image(path, "", 1000).Layers[0]
	layer.Size = 7
	image := w.reg.ImageOf(path, "v1", layer)
	_, p, err := w.warm(t, warm.Config{})
	require.NoError(t, err)
	assert.Equal(t, image.Config.Size+1000, p.expected.Load())
	assert.Equal(t, image.Config.Size+1000, p.advanced.Load())
}

// full is a store that rejects blobs, or manifests too.
type full struct {
	*memory.Store
	manifests bool
}

func (s full) Put(ctx context.Context, key string, body io.Reader, size int64, o backend.PutOptions) (backend.Object, error) {
	if kind, _, ok := layout.Public.ParseContent(key); ok && (kind == "blobs" || s.manifests) {
		return backend.Object{}, backend.ErrFull
	}
	return s.Store.Put(ctx, key, body, size, o)
}

func TestImageReportsWhatItCannotLand(t *testing.T) {
	for name, test := range map[string]struct {
		store   backend.Store
		config  warm.Config
		prepare func(t *testing.T, w world, index upstreamtest.Index)
		want    string
		is      error
	}{
		"no tag": {
			prepare: func(_ *testing.T, w world, _ upstreamtest.Index) { w.reg.Delete(path, "v1") },
			want:    "404",
		},
		"no platform": {
			config: warm.Config{Platforms: []ggcr.Platform{{OS: "windows", Architecture: "amd64"}}},
			want:   "no image for the platforms, only for [linux/amd64 linux/arm64]",
		},
		"no child": {
			prepare: func(_ *testing.T, w world, i upstreamtest.Index) { w.reg.Delete(path, i.Images[1].Digest.String()) },
			want:    "404",
		},
		"no blob": {
			prepare: func(_ *testing.T, w world, i upstreamtest.Index) {
				w.reg.Delete(path, i.Images[1].Layers[0].Digest.String())
			},
			want: "404",
		},
		"a bad blob": {
			prepare: func(_ *testing.T, w world, i upstreamtest.Index) {
				w.reg.Faults.Set(upstreamtest.Fault{Digest: i.Images[0].Layers[0].Digest, Damage: upstreamtest.Corrupt, At: 5})
			},
			is: mirror.ErrBadBlob,
		},
		"a failing list of referrers": {
			config: warm.Config{Referrers: true},
			prepare: func(_ *testing.T, w world, _ upstreamtest.Index) {
				w.reg.Faults.Set(upstreamtest.Fault{Kind: upstreamtest.Referrers, Status: http.StatusInternalServerError})
			},
			want: "referrers of sha256:",
		},
		"a stale tag": {
			prepare: func(t *testing.T, w world, _ upstreamtest.Index) {
				_, _, err := w.warm(t, warm.Config{})
				require.NoError(t, err)
				w.reg.Faults.Set(upstreamtest.Fault{Status: http.StatusServiceUnavailable})
			},
			want: "503",
		},
		"a bucket without room for blobs":     {store: full{Store: new(memory.Store)}, is: mirror.ErrUnstored},
		"a bucket without room for manifests": {store: full{Store: new(memory.Store), manifests: true}, is: mirror.ErrUnstored},
	} {
		t.Run(name, func(t *testing.T) {
			if test.store == nil {
				test.store = new(memory.Store)
			}
			w := newWorldOn(t, test.store, upstreamtest.Options{})
			index := w.reg.Index(path, "v1", 2000)
			if test.prepare != nil {
				test.prepare(t, w, index)
			}
			_, _, err := w.warm(t, test.config)
			require.Error(t, err)
			assert.ErrorContains(t, err, test.want)
			if test.is != nil {
				assert.ErrorIs(t, err, test.is)
			}
		})
	}
}

func TestFailedImageReportsWhatLanded(t *testing.T) {
	w := newWorld(t, upstreamtest.Options{})
	image := w.reg.Image(path, "v1", 1000, 2000)
	w.reg.Delete(path, image.Layers[1].Digest.String())
	release := make(chan struct{})
	w.reg.Faults.Set(upstreamtest.Fault{Digest: image.Layers[1].Digest, Hang: true, Until: release})
	p := &progress{then: func(advanced int64) {
		if advanced == image.Config.Size+1000 {
			close(release)
		}
	}}
	result, err := w.warmWith(t, warm.Config{}, p)
	require.ErrorContains(t, err, image.Layers[1].Digest.String())
	assert.Equal(t, image.Digest, result.Digest)
	assert.Equal(t, image.Size+image.Config.Size+1000, result.Bytes)
	assert.ElementsMatch(t, []digest.Digest{image.Digest, image.Config.Digest, image.Layers[0].Digest}, w.stored(t))
}
