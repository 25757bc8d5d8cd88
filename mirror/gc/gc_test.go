package gc_test

import (
	"context"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/mirror/gc"
	"github.com/entrepot-io/entrepot/mirror/inventory"
	"github.com/entrepot-io/entrepot/mirror/inventory/inventorytest"
	"github.com/entrepot-io/entrepot/mirror/layout"
	"github.com/entrepot-io/entrepot/mirror/lease"
)

// cache is a bucket with images, in virtual time.
type cache struct {
	inventorytest.Bucket
	t *testing.T
}

// inBubble runs a test in virtual time.
func inBubble(t *testing.T, test func(t *testing.T, c cache)) {
	synctest.Test(t, func(t *testing.T) { test(t, cache{inventorytest.New(t), t}) })
}

// image stores an image with a layer of its own of size bytes and a shared one, uses it, and lets an hour pass.
func (c cache) image(name string, seed byte, size int) v1.Descriptor {
	at := strings.LastIndex(name, ":")
	image := c.Image("amd64", nil, c.Layer('=', 1000), c.Layer(seed, size))
	c.Tag(name[:at], name[at+1:], image.Digest)
	c.use(image.Digest)
	time.Sleep(time.Hour)
	return image
}

func (c cache) use(d digest.Digest) { c.Write(layout.Use(d), nil) }

func (c cache) config(change func(*gc.Config)) gc.Config {
	cfg := gc.Config{
		Store: c, Realm: layout.Public, Grace: time.Hour, UseInterval: time.Minute,
	}
	change(&cfg)
	return cfg
}

func (c cache) run(change func(*gc.Config)) gc.Report {
	c.t.Helper()
	report, err := gc.Run(c.t.Context(), c.config(change))
	require.NoError(c.t, err)
	return report
}

// tags returns the names of the images with a tag.
func (c cache) tags() (names []string) {
	c.t.Helper()
	v, err := inventory.Read(c.t.Context(), inventory.Config{Store: c, Realm: layout.Public})
	require.NoError(c.t, err)
	for _, i := range v.Roots() {
		if i.Tag != "" {
			names = append(names, i.Tag)
		}
	}
	return names
}

func (c cache) has(key string) bool { return slices.Contains(c.Keys(), key) }

func TestLeastRecentlyUsedImageGoesFirst(t *testing.T) {
	inBubble(t, func(t *testing.T, c cache) {
		old := c.image("docker.io/library/app:old", 'o', 5000)
		newer := c.image("docker.io/library/app:newer", 'n', 5000)
		c.use(old.Digest)
		time.Sleep(time.Hour)
		limit := func(g *gc.Config) { g.Limits.MaxBytes = 9000 }

		dry := c.run(func(g *gc.Config) { limit(g); g.DryRun = true })
		assert.Equal(t, gc.Deleted{Images: 1, Amount: inventory.Amount{Objects: 2, Bytes: 5000 + newer.Size}}, dry.Deleted,
			"the manifest and its own layer; the config and the other layer are shared")

		first := c.run(limit)
		assert.Zero(t, first.Deleted)
		assert.Equal(t, dry.Deleted.Amount, first.Marked)
		assert.ElementsMatch(t, []string{"newer", "old"}, c.tags())
		early := c.run(limit)
		assert.Zero(t, early.Deleted, "before the grace period ends")

		time.Sleep(time.Hour)
		second := c.run(limit)
		assert.Equal(t, dry.Deleted, second.Deleted)
		assert.Equal(t, []string{"old"}, c.tags())
		assert.LessOrEqual(t, second.Kept.Bytes, int64(9000))

		time.Sleep(time.Hour)
		c.run(limit)
		for _, key := range c.Keys() {
			assert.NotContains(t, key, layout.Public.Marks(), "marks are removed in the end")
			assert.NotContains(t, key, newer.Digest.Encoded(), "nothing is left of the image")
		}
	})
}

func TestWaitingRunDeletesAtOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, c cache) {
		c.image("docker.io/library/app:1", 'a', 5000)
		time.Sleep(30 * 24 * time.Hour)
		c.image("docker.io/library/app:2", 'b', 5000)
		began := time.Now()
		report := c.run(func(g *gc.Config) { g.Limits.MaxAge, g.Wait = 10*24*time.Hour, true })
		assert.EqualValues(t, 1, report.Deleted.Images)
		assert.Equal(t, []string{"2"}, c.tags())
		assert.GreaterOrEqual(t, time.Since(began), time.Hour)
	})
}

func TestContentInUseSurvives(t *testing.T) {
	for name, use := range map[string]func(c cache, image v1.Descriptor, layer digest.Digest){
		"a replica met the tombstone": func(c cache, _ v1.Descriptor, layer digest.Digest) {
			c.Write(layout.Public.Mark(layout.Blobs, layer, layout.Used), nil)
		},
		"the manifest was used": func(c cache, image v1.Descriptor, _ digest.Digest) { c.use(image.Digest) },
		"a blob was used":       func(c cache, _ v1.Descriptor, layer digest.Digest) { c.use(layer) },
		"a blob was stored again": func(c cache, _ v1.Descriptor, _ digest.Digest) {
			c.Layer('a', 5000)
		},
		"another image needs it": func(c cache, image v1.Descriptor, _ digest.Digest) {
			c.Tag("docker.io/library/other", "1", image.Digest)
			c.use(image.Digest)
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, c cache) {
				image := c.image("docker.io/library/app:1", 'a', 5000)
				layer := c.Layer('a', 5000).Digest
				time.Sleep(time.Hour)
				limit := func(g *gc.Config) { g.Limits.MaxBytes = 1 }
				c.run(limit)
				require.True(t, c.has(layout.Public.Mark(layout.Blobs, layer, layout.Tombstone)))
				time.Sleep(time.Hour)
				use(c, image, layer)
				time.Sleep(2 * time.Second)
				report := c.run(limit)
				assert.Zero(t, report.Deleted.Images)
				assert.True(t, c.has(layout.Public.Blob(layer)))
				assert.True(t, c.has(layout.Public.Manifest(image.Digest)))
			})
		})
	}
}

// revived is a store in which a replica meets a tombstone at the moment when the object's deletion is announced.
type revived struct {
	cache
	blob digest.Digest
}

func (r revived) Delete(ctx context.Context, key string) error {
	require.NotEqual(r.t, layout.Public.Blob(r.blob), key, "the blob in use is deleted")
	return r.cache.Delete(ctx, key)
}

func (r revived) Stat(ctx context.Context, key string) (backend.Object, error) {
	if key == layout.Public.Mark(layout.Blobs, r.blob, layout.Used) {
		r.Write(key, nil)
	}
	return r.cache.Stat(ctx, key)
}

func TestUseAtTheLastMomentPreventsDeletion(t *testing.T) {
	inBubble(t, func(t *testing.T, c cache) {
		c.image("docker.io/library/app:1", 'a', 5000)
		layer := c.Layer('a', 5000).Digest
		time.Sleep(time.Hour)
		store := revived{c, layer}
		report := c.run(func(g *gc.Config) { g.Store, g.Limits.MaxBytes, g.Wait = store, 1, true })
		assert.EqualValues(t, 1, report.Deleted.Images)
		assert.True(t, c.has(layout.Public.Blob(layer)))
		assert.False(t, c.has(layout.Public.Mark(layout.Blobs, layer, layout.Deleting)), "replicas would wait")
	})
}

// suspended is a store on which a collector is suspended after it has announced a deletion.
type suspended struct{ cache }

func (s suspended) Put(ctx context.Context, key string, body io.Reader, size int64, o backend.PutOptions) (backend.Object, error) {
	object, err := s.cache.Put(ctx, key, body, size, o)
	if strings.HasSuffix(key, string(layout.Deleting)) {
		time.Sleep(time.Minute)
	}
	return object, err
}

func TestSuspendedCollectorDeletesNothing(t *testing.T) {
	inBubble(t, func(t *testing.T, c cache) {
		c.image("docker.io/library/app:1", 'a', 5000)
		time.Sleep(time.Hour)
		before := c.tags()
		_, err := gc.Run(t.Context(), c.config(func(g *gc.Config) { g.Store, g.Limits.MaxBytes, g.Wait = suspended{c}, 1, true }))
		require.NoError(t, err)
		assert.True(t, c.has(layout.Public.Blob(c.Layer('a', 5000).Digest)))
		assert.Len(t, before, 1)
	})
}

func TestRulesAndPatternsKeepImages(t *testing.T) {
	all := []string{"a:1", "a:2", "a:3", "b:1", "c:1"}
	for name, test := range map[string]struct {
		change func(*gc.Config)
		want   []string
	}{
		"no limits":       {func(*gc.Config) {}, all},
		"age":             {func(g *gc.Config) { g.Limits.MaxAge = 150 * time.Minute }, []string{"b:1", "c:1"}},
		"keep a pattern":  {func(g *gc.Config) { g.Limits.MaxBytes, g.Keep = 1, patterns("docker.io/a") }, []string{"a:1", "a:2", "a:3"}},
		"keep the newest": {func(g *gc.Config) { g.Limits = gc.Limits{MaxBytes: 1, KeepLast: 1} }, []string{"a:3", "b:1", "c:1"}},
		"a rule that keeps": {func(g *gc.Config) {
			g.Limits.MaxBytes = 1
			g.Rules = []gc.Rule{{Pattern: pattern("*:2"), Limits: gc.Limits{Keep: true}}, {Pattern: pattern("*a:*")}}
		}, []string{"a:2"}},
		"the first rule decides": {func(g *gc.Config) {
			g.Rules = []gc.Rule{
				{Pattern: pattern("*:3"), Limits: gc.Limits{MaxAge: 24 * time.Hour}},
				{Pattern: pattern("*"), Limits: gc.Limits{MaxAge: 90 * time.Minute}},
			}
		}, []string{"a:3", "c:1"}},
		"a rule's size": {func(g *gc.Config) {
			g.Rules = []gc.Rule{{Pattern: pattern("docker.io/a"), Limits: gc.Limits{MaxBytes: 7500}}}
		}, []string{"a:3", "b:1", "c:1"}},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, c cache) {
				for i, name := range all {
					c.image("docker.io/"+name, byte('a'+i), 5000)
				}
				c.run(func(g *gc.Config) { test.change(g); g.Wait = true })
				v, err := inventory.Read(t.Context(), inventory.Config{Store: c, Realm: layout.Public})
				require.NoError(t, err)
				var left []string
				for _, i := range v.Roots() {
					left = append(left, i.Repository+":"+i.Tag)
				}
				assert.Equal(t, test.want, left)
			})
		})
	}
}

func pattern(text string) inventory.Pattern { return inventory.ParsePattern(text) }

func patterns(texts ...string) (all []inventory.Pattern) {
	for _, text := range texts {
		all = append(all, pattern(text))
	}
	return all
}

func TestSignaturesGoWithTheirImage(t *testing.T) {
	inBubble(t, func(t *testing.T, c cache) {
		signed := c.image("docker.io/library/app:1", 'a', 5000)
		signature := c.image("docker.io/library/app:"+strings.Replace(signed.Digest.String(), ":", "-", 1)+".sig", 's', 70)
		referrer := c.Image("", &signed, c.Layer('r', 50))
		c.image("docker.io/library/app:2", 'b', 5000)
		c.use(signed.Digest)
		time.Sleep(time.Hour)

		c.run(func(g *gc.Config) { g.Limits.KeepLast, g.Limits.MaxBytes, g.Wait = 1, 1, true })
		assert.Equal(t, []string{"2"}, c.tags())
		for _, d := range []digest.Digest{signed.Digest, signature.Digest, referrer.Digest} {
			assert.False(t, c.has(layout.Public.Manifest(d)))
		}
	})
}

func TestRemovedImageLosesItsTagAtOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, c cache) {
		image := c.image("docker.io/library/app:1", 'a', 5000)
		c.image("docker.io/library/app:2", 'b', 5000)
		remove := func(i inventory.Image) bool { return i.Tag == "1" }
		report := c.run(func(g *gc.Config) { g.Remove = remove })
		assert.Equal(t, []string{"2"}, c.tags())
		assert.Zero(t, report.Deleted.Objects)
		assert.True(t, c.has(layout.Public.Manifest(image.Digest)))
		time.Sleep(time.Hour)
		report = c.run(func(*gc.Config) {})
		assert.EqualValues(t, 2, report.Deleted.Objects, "gc without limits deletes what was removed")
		assert.False(t, c.has(layout.Public.Manifest(image.Digest)))
	})
}

func TestRemovedImageThatIsPulledAgainStays(t *testing.T) {
	inBubble(t, func(t *testing.T, c cache) {
		image := c.image("docker.io/library/app:1", 'a', 5000)
		c.run(func(g *gc.Config) { g.Remove = func(inventory.Image) bool { return true } })
		time.Sleep(30 * time.Minute)
		c.Tag("docker.io/library/app", "1", image.Digest)
		c.use(image.Digest)
		time.Sleep(time.Hour)
		assert.Zero(t, c.run(func(*gc.Config) {}).Deleted)
		assert.Equal(t, []string{"1"}, c.tags())
	})
}

func TestLeftOversAreSwept(t *testing.T) {
	inBubble(t, func(t *testing.T, c cache) {
		image := c.image("docker.io/library/app:1", 'a', 5000)
		abandoned, running := digest.FromString("abandoned"), digest.FromString("running")
		for _, d := range []digest.Digest{abandoned, running} {
			c.Write(layout.Public.Segment(d, 0, "E"), []byte("x"))
			c.Write(layout.Public.FillLease(d), []byte("{}"))
		}
		c.use(digest.FromString("gone"))
		c.Write(layout.Uses+"2020-01-01/"+image.Digest.String(), nil)
		c.Write(layout.Public.Mark(layout.Blobs, digest.FromString("gone"), layout.Tombstone), nil)
		time.Sleep(24 * time.Hour)
		c.Write(layout.Public.FillLease(running), []byte("{}"))
		c.use(image.Digest)
		report := c.run(func(*gc.Config) {})
		assert.EqualValues(t, 5, report.Swept)
		assert.False(t, c.has(layout.Public.FillLease(abandoned)))
		assert.True(t, c.has(layout.Public.Segment(running, 0, "E")))
		assert.True(t, c.has(layout.Use(image.Digest)))
	})
}

func TestOneCollectorAtATime(t *testing.T) {
	inBubble(t, func(t *testing.T, c cache) {
		other := &lease.Leases[struct{}]{Store: c}
		held, _, err := other.Acquire(t.Context(), layout.Public.CollectorLease())
		require.NoError(t, err)
		_, err = gc.Run(t.Context(), c.config(func(*gc.Config) {}))
		require.ErrorIs(t, err, gc.ErrBusy)
		require.NoError(t, held.Remove(t.Context()))
		c.run(func(*gc.Config) {})
		assert.Empty(t, c.Keys())
	})
}
