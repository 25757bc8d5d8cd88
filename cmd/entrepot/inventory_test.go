package main_test

import (
	"maps"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/infra/testenv"
	"github.com/entrepot-io/entrepot/mirror/inventory"
	"github.com/entrepot-io/entrepot/upstream/upstreamtest"
)

// pull gets a manifest by tag or digest and its blobs, as clients do.
func (r *replica) pull(t *testing.T, repository, reference string, image upstreamtest.Image) {
	t.Helper()
	status, body, err := r.program.get(t, "/v2/"+repository+"/manifests/"+reference)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, status, "%s", body)
	for _, d := range append(image.Layers, image.Config) {
		r.getBlob(t, "/v2/"+repository+"/blobs/"+d.Digest.String(), d.Digest.String())
	}
}

// stores returns clusters on each kind of store.
func stores(t *testing.T) map[string]*cluster {
	t.Helper()
	folder := filepath.Join(t.TempDir(), "store")
	return map[string]*cluster{
		"MinIO":     newCluster(t),
		"versitygw": newClusterOn(t, testenv.StartVersityGW(t)),
		"folder": {
			upstream: upstreamtest.Start(t, upstreamtest.Options{}),
			store:    []string{"ENTREPOT_STORE=file:" + folder},
			program:  testenv.Program(t),
		},
	}
}

func TestInventoryCommands(t *testing.T) {
	t.Parallel()
	for name, w := range stores(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			one := w.upstream.Image("library/app", "1", 3<<20, 1000)
			two := w.upstream.ImageOf("library/app", "V2", one.Layers...)
			index := w.upstream.Index("org/tool", "latest", 2000)
			r := w.start(t)
			r.pull(t, "library/app", "1", one)
			r.pull(t, "library/app", "V2", two)
			status, _, _ := r.program.get(t, "/v2/org/tool/manifests/latest")
			require.Equal(t, http.StatusOK, status)
			r.pull(t, "org/tool", index.Images[0].Digest.String(), index.Images[0])
			r.Signal(t, syscall.SIGTERM) // so that all markers of use are written
			r.Wait(t, time.Minute)

			listed := w.listed(t, "ls")
			assert.Equal(t, []string{"docker.io/library/app:1", "docker.io/library/app:V2", "docker.io/org/tool:latest"}, slices.Sorted(maps.Keys(listed)))
			app := listed["docker.io/library/app:1"]
			assert.Equal(t, one.Digest, app.Digest)
			assert.EqualValues(t, 3<<20+1000+one.Size+one.Config.Size, app.Bytes)
			assert.Equal(t, []string{"linux/amd64"}, app.Platforms)
			assert.False(t, app.LastUsed.IsZero())
			tool := listed["docker.io/org/tool:latest"]
			assert.Equal(t, []string{"linux/amd64"}, tool.Platforms, "only one child is cached")
			assert.Len(t, w.listed(t, "ls", "docker.io/library/*"), 2)
			assert.Len(t, w.listed(t, "ls", "docker.io/org/tool", "--digests"), 1)

			text := w.run(t, "ls")
			assert.Zero(t, text.exit)
			assert.Contains(t, text.stdout, "docker.io/library/app:V2")
			assert.Contains(t, text.stdout, "linux/amd64")

			var usage inventory.Usage
			w.runJSON(t, &usage, "du")
			if w.bucket.client != nil {
				var plain inventory.Amount
				for _, o := range w.bucket.list(t, "") {
					plain.Objects++
					plain.Bytes += o.Size
				}
				assert.Equal(t, plain, usage.Amount)
			}
			require.Len(t, usage.Repositories, 2)
			assert.Equal(t, "docker.io/library/app", usage.Repositories[0].Repository)
			assert.Equal(t, 2, usage.Repositories[0].Tags)
			assert.Zero(t, usage.Unreferenced)
			assert.Zero(t, usage.Fills)
			assert.GreaterOrEqual(t, usage.SavedBytes, int64(3<<20+1000))
			text = w.run(t, "du", "docker.io/org/*")
			assert.Contains(t, text.stdout, "docker.io/org/tool")
			assert.NotContains(t, text.stdout, "docker.io/library/app")
		})
	}
}

// listed runs ls and returns the images by name.
func (w *cluster) listed(t *testing.T, args ...string) map[string]inventory.Image {
	t.Helper()
	var list struct{ Images []inventory.Image }
	w.runJSON(t, &list, args...)
	images := map[string]inventory.Image{}
	for _, i := range list.Images {
		images[i.Name()] = i
	}
	return images
}

func TestInventoryCommandsNameDamage(t *testing.T) {
	t.Parallel()
	w := newCluster(t)
	d := digest.FromString("manifest")
	w.bucket.put(t, "public/manifests/sha256/"+d.Encoded(), []byte("not the manifest"))
	for _, command := range []string{"ls", "du"} {
		r := w.run(t, command)
		assert.Equal(t, 1, r.exit)
		assert.Equal(t, 1, strings.Count(r.stderr, "\n"), r.stderr)
		assert.Contains(t, r.stderr, d.Encoded()+": the manifest's bytes do not hash to its digest")
	}
}

func TestInventoryCommandsRejectWrongUsage(t *testing.T) {
	t.Parallel()
	w := newCluster(t)
	for want, args := range map[string][]string{
		"write text or json":     {"ls", "--output", "yaml"},
		"quote patterns with *":  {"du", "a", "b"},
		"unknown flag: --digest": {"ls", "--digest"},
	} {
		r := w.run(t, args...)
		assert.Equal(t, 2, r.exit)
		assert.Contains(t, r.stderr, want)
		assert.Empty(t, r.stdout)
	}
	r := w.run(t, "ls", "--store", "s3://")
	assert.Equal(t, 2, r.exit)
	assert.Contains(t, r.stderr, "ENTREPOT_STORE")
}
