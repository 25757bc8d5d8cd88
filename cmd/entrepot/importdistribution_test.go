package main_test

import (
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/infra/testenv"
	"github.com/entrepot-io/entrepot/upstream/upstreamtest"
)

// startDistribution starts a pull-through cache of distribution, and returns its data.
func startDistribution(t *testing.T, upstream string) (p program, folder string) {
	t.Helper()
	folder = t.TempDir()
	addr := testenv.FreeAddr(t, "127.0.0.1")
	config := filepath.Join(t.TempDir(), "config.yml")
	require.NoError(t, os.WriteFile(config, fmt.Appendf(nil, `version: 0.1
storage: {filesystem: {rootdirectory: %q}}
http: {addr: %q, secret: test}
proxy: {remoteurl: %q}
`, folder, addr, upstream), 0o600))
	cmd := exec.Command(testenv.Tool(t, "registry"), "serve", config)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	p = program{addr: addr}
	waitFor(t, "the registry answers", func() bool {
		resp, err := http.Get(p.url("/v2/"))
		if err == nil {
			resp.Body.Close()
		}
		return err == nil
	})
	return p, folder
}

func TestDistributionCacheIsTakenOver(t *testing.T) {
	t.Parallel()
	upstream := upstreamtest.Start(t, upstreamtest.Options{})
	image := upstream.Image(fillRepo, "1", 6<<20, 1000)
	index := upstream.Index("org/tool", "latest", 2000)
	registry, data := startDistribution(t, upstream.URL())
	old := replica{program: registry}
	require.NoError(t, pullFully(t.Context(), registry.url("/v2/"+fillRepo), "1"))
	require.Equal(t, http.StatusOK, old.request(t, "/v2/org/tool/manifests/latest", "Accept", "application/vnd.oci.image.index.v1+json").StatusCode)
	require.NoError(t, pullFully(t.Context(), registry.url("/v2/org/tool"), index.Images[0].Digest.String()))
	blob := func(hex string) string {
		return filepath.Join(data, "docker/registry/v2/blobs/sha256", hex[:2], hex, "data")
	}
	waitFor(t, "the registry has stored all", func() bool {
		for _, hex := range []string{image.Layers[0].Digest.Encoded(), image.Layers[1].Digest.Encoded(), image.Config.Digest.Encoded(),
			index.Images[0].Config.Digest.Encoded(), index.Images[0].Layers[0].Digest.Encoded(), index.Digest.Encoded()} {
			if info, err := os.Stat(blob(hex)); err != nil || info.Size() == 0 {
				return false
			}
		}
		return true
	})

	for name, w := range stores(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			from := "file:" + data
			if w.bucket.client != nil { // a bucket, with the cache's data below a prefix of its own
				require.NoError(t, filepath.WalkDir(data, func(path string, entry fs.DirEntry, err error) error {
					if err != nil || entry.IsDir() {
						return err
					}
					key, err := filepath.Rel(data, path)
					require.NoError(t, err)
					body, err := os.ReadFile(path)
					require.NoError(t, err)
					w.bucket.put(t, "old/"+key, body)
					return nil
				}))
				from = w.storeURL(t) + "/old"
			}
			var imported movedImages
			w.runJSON(t, &imported, "import", "--from-distribution", from, "--registry", "docker.io")
			assert.ElementsMatch(t, []string{"docker.io/" + fillRepo + ":1", "docker.io/org/tool:latest"}, names(imported))
			assert.Greater(t, imported.New, int64(6<<20))
			w.runJSON(t, &imported, "import", "--from-distribution", from)
			assert.Zero(t, imported.New)

			setting, dials := countDials(t)
			r := w.start(t, "ENTREPOT_OFFLINE=true", setting)
			r.pull(t, fillRepo, "1", image)
			assert.Equal(t, string(index.Body), r.request(t, "/v2/org/tool/manifests/latest").body)
			r.pull(t, "org/tool", index.Images[0].Digest.String(), index.Images[0])
			assert.Zero(t, dials.Load())
		})
	}

	t.Run("damaged", func(t *testing.T) {
		w := newFolderCluster(t, filepath.Join(t.TempDir(), "store"))
		copied := filepath.Join(t.TempDir(), "copy")
		require.NoError(t, os.CopyFS(copied, os.DirFS(data)))
		hex := image.Layers[0].Digest.Encoded()
		bad := filepath.Join(copied, "docker/registry/v2/blobs/sha256", hex[:2], hex, "data")
		body, err := os.ReadFile(bad)
		require.NoError(t, err)
		body[0] ^= 1
		require.NoError(t, os.Chmod(bad, 0o600))
		require.NoError(t, os.WriteFile(bad, body, 0o600))
		r := w.run(t, "import", "--from-distribution", "file:"+copied)
		assert.Equal(t, 1, r.exit)
		assert.Contains(t, r.stderr, hex)
		assert.NotContains(t, w.listed(t, "ls"), "docker.io/"+fillRepo+":1")
		assert.Contains(t, w.listed(t, "ls"), "docker.io/org/tool:latest")

		r = w.run(t, "import", "--from-distribution", "file:"+t.TempDir())
		assert.Equal(t, 2, r.exit)
		assert.Equal(t, 1, strings.Count(r.stderr, "\n"), r.stderr)
	})
}
