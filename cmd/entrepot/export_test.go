package main_test

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	ggcr "github.com/google/go-containerregistry/pkg/v1"
	ggcrlayout "github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	imagespec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/infra/testenv"
	"github.com/entrepot-io/entrepot/upstream/upstreamtest"
)

// movedImages is what export and import print as JSON.
type movedImages struct {
	Images []struct {
		Image, Error string
		Digest       digest.Digest
		Bytes, New   int64
	}
	Bytes, New int64
	Seconds    float64
}

// extract unpacks a tar file into a folder.
func extract(t *testing.T, file string) (folder string) {
	t.Helper()
	folder = t.TempDir()
	out, err := exec.CommandContext(t.Context(), "tar", "-xf", file, "-C", folder).CombinedOutput()
	require.NoError(t, err, "%s", out)
	return folder
}

func TestExportedImagesAreServedAtOfflineSite(t *testing.T) {
	t.Parallel()
	for name, w := range stores(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// The site has a store of another kind than the one that exports.
			site := newFolderCluster(t, filepath.Join(t.TempDir(), "site"))
			if w.bucket.client == nil {
				site = newCluster(t)
			}
			image := w.upstream.Image(fillRepo, "1", 6<<20, 1000)
			index := w.upstream.Index("org/tool", "latest", 2000)
			signature := "sha256-" + index.Digest.Encoded() + ".sig"
			signed := w.upstream.Image("org/tool", "", 50)
			w.upstream.Tag("org/tool", signature, signed.Digest)
			sbom := w.upstream.Image(fillRepo, "", 70)
			body, err := json.Marshal(imagespec.Manifest{
				Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: imagespec.MediaTypeImageManifest, ArtifactType: "test/sbom",
				Config: sbom.Config, Layers: sbom.Layers, Subject: &image.Descriptor,
			})
			require.NoError(t, err)
			sbom.Descriptor = w.upstream.Manifest(fillRepo, "", imagespec.MediaTypeImageManifest, body)
			online := w.start(t)
			online.pull(t, fillRepo, "1", image)

			file := filepath.Join(t.TempDir(), "images.tar")
			var exported movedImages
			w.runJSON(t, &exported, "export", "app:1", "docker.io/org/tool", "--to", file)
			require.Len(t, exported.Images, 2)
			assert.Equal(t, image.Digest, exported.Images[0].Digest)
			assert.Equal(t, exported.Bytes, exported.New)
			left, err := filepath.Glob(file + ".*")
			require.NoError(t, err)
			assert.Empty(t, left)

			folder := filepath.Join(t.TempDir(), "images")
			w.runJSON(t, &exported, "export", "app:1", "--to", folder)
			w.runJSON(t, &exported, "export", "org/tool", "--to", folder)
			assert.NotZero(t, exported.New)
			w.runJSON(t, &exported, "export", "org/tool", "--to", folder)
			assert.Zero(t, exported.New)

			for _, layout := range []string{folder, extract(t, file)} {
				path, err := ggcrlayout.FromPath(layout)
				require.NoError(t, err)
				all, err := path.ImageIndex()
				require.NoError(t, err)
				manifest, err := all.IndexManifest()
				require.NoError(t, err)
				names := map[string]ggcr.Hash{}
				for _, d := range manifest.Manifests {
					names[d.Annotations["io.containerd.image.name"]] = d.Digest
					assert.Equal(t, d.Annotations["io.containerd.image.name"], d.Annotations["org.opencontainers.image.ref.name"])
				}
				assert.Equal(t, index.Digest.String(), names["docker.io/org/tool:latest"].String())
				assert.Contains(t, names, "docker.io/org/tool:"+signature)
				app, err := all.Image(names["docker.io/"+fillRepo+":1"])
				require.NoError(t, err)
				isWhole(t, app)
				tool, err := all.ImageIndex(names["docker.io/org/tool:latest"])
				require.NoError(t, err)
				for _, child := range index.Images {
					hash, err := ggcr.NewHash(child.Digest.String())
					require.NoError(t, err)
					image, err := tool.Image(hash)
					require.NoError(t, err)
					isWhole(t, image)
				}
			}

			var imported movedImages
			site.runJSON(t, &imported, "import", "--from", file)
			require.Len(t, imported.Images, len(names(imported)))
			assert.Contains(t, names(imported), "docker.io/org/tool:"+signature)
			assert.NotZero(t, imported.New)
			site.runJSON(t, &imported, "import", "--from", folder)
			assert.Zero(t, imported.New)
			var clean verified
			site.runJSON(t, &clean, "verify")
			assert.Empty(t, clean.Bad)

			setting, dials := countDials(t)
			r := site.start(t, "ENTREPOT_OFFLINE=true", setting)
			r.pull(t, fillRepo, "1", image)
			r.pull(t, "org/tool", signature, signed)
			for _, child := range index.Images {
				r.pull(t, "org/tool", child.Digest.String(), child)
			}
			a := r.request(t, "/v2/org/tool/manifests/latest")
			assert.Equal(t, http.StatusOK, a.StatusCode)
			assert.Equal(t, string(index.Body), a.body)
			r.pull(t, fillRepo, sbom.Digest.String(), sbom)
			var referrers imagespec.Index
			require.NoError(t, json.Unmarshal([]byte(r.request(t, "/v2/"+fillRepo+"/referrers/"+image.Digest.String()).body), &referrers))
			require.Len(t, referrers.Manifests, 1)
			assert.Equal(t, sbom.Digest, referrers.Manifests[0].Digest)
			assert.Equal(t, "test/sbom", referrers.Manifests[0].ArtifactType)
			assert.Equal(t, http.StatusOK, r.request(t, "/v2/org/tool/referrers/"+index.Digest.String()).StatusCode)
			assert.Zero(t, dials.Load())
		})
	}
}

// isWhole fails the test unless a layout has all layers of an image.
func isWhole(t *testing.T, image ggcr.Image) {
	t.Helper()
	layers, err := image.Layers()
	require.NoError(t, err)
	require.NotEmpty(t, layers)
	for _, layer := range layers {
		d, err := layer.Digest()
		require.NoError(t, err)
		body, err := layer.Compressed()
		require.NoError(t, err)
		assert.Equal(t, d.String(), digestOfReader(t, body))
		body.Close()
	}
}

func names(all movedImages) (names []string) {
	for _, i := range all.Images {
		names = append(names, i.Image)
	}
	return names
}

func TestExportSelectsPlatforms(t *testing.T) {
	t.Parallel()
	w := newFolderCluster(t, filepath.Join(t.TempDir(), "store"))
	index := w.upstream.Index("org/tool", "latest", 2000)
	var all, some movedImages
	folder := t.TempDir()
	w.runJSON(t, &some, "export", "org/tool", "--to", filepath.Join(folder, "arm"), "--platform", "linux/arm64", "--referrers=false")
	w.runJSON(t, &all, "export", "org/tool", "--to", filepath.Join(folder, "cached"), "--referrers=false")
	assert.Equal(t, some.Bytes, all.Bytes, "one platform is cached")
	w.runJSON(t, &all, "export", "org/tool", "--to", filepath.Join(folder, "all.tar"), "--all-platforms")
	assert.Greater(t, all.Bytes, some.Bytes)

	site := newFolderCluster(t, filepath.Join(folder, "site"))
	site.runJSON(t, &all, "import", "--from", filepath.Join(folder, "arm"))
	r := site.start(t, "ENTREPOT_OFFLINE=true")
	assert.Equal(t, string(index.Body), r.request(t, "/v2/org/tool/manifests/latest").body)
	r.pull(t, "org/tool", index.Images[1].Digest.String(), index.Images[1])
	assert.Equal(t, http.StatusBadGateway, r.request(t, "/v2/org/tool/manifests/"+index.Images[0].Digest.String()).StatusCode)
}

func TestDamagedArchiveIsNotServed(t *testing.T) {
	t.Parallel()
	for name, w := range stores(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			image := w.upstream.Image(fillRepo, "1", 5000, 6<<20)
			folder := t.TempDir()
			var exported movedImages
			origin := newFolderCluster(t, filepath.Join(t.TempDir(), "store"))
			origin.upstream = w.upstream
			origin.runJSON(t, &exported, "export", "app:1", "--to", folder)
			for _, d := range []digest.Digest{image.Layers[1].Digest, image.Layers[0].Digest, image.Digest} {
				path := filepath.Join(folder, "blobs", "sha256", d.Encoded())
				right, err := os.ReadFile(path)
				require.NoError(t, err)
				for _, damage := range damages {
					body := damage.damage(append([]byte{}, right...), []byte("other"))
					if damage.name == "metadata stripped" {
						continue
					}
					require.Zero(t, w.run(t, "reset", "--yes").exit) // cached blobs are not read
					require.NoError(t, os.Remove(path))
					if body != nil {
						require.NoError(t, os.WriteFile(path, body, 0o600))
					}
					r := w.run(t, "import", "--from", folder)
					assert.Equal(t, 1, r.exit, damage.name)
					assert.Contains(t, r.stderr, d.String())
					var listed struct{ Images []any }
					w.runJSON(t, &listed, "ls", "--digests")
					assert.Empty(t, listed.Images, "%s: no manifest is visible", damage.name)
				}
				require.NoError(t, os.WriteFile(path, right, 0o600))
				var clean verified
				w.runJSON(t, &clean, "verify")
				assert.Empty(t, clean.Bad)
			}
			w.runJSON(t, &exported, "import", "--from", folder)
		})
	}
}

func TestInterruptedExportLeavesNothingVisible(t *testing.T) {
	t.Parallel()
	for _, to := range []string{"images.tar", "images"} {
		t.Run(to, func(t *testing.T) {
			t.Parallel()
			w := newFolderCluster(t, filepath.Join(t.TempDir(), "store"))
			w.upstream.Image(fillRepo, "1", 30<<20)
			w.upstream.Faults.Set(upstreamtest.Fault{Kind: upstreamtest.CDNGet, BytesPerSecond: 2 << 20})
			folder := t.TempDir()
			cmd := exec.Command(w.program, "export", "app:1", "--to", filepath.Join(folder, to))
			cmd.Env = append([]string{"ENTREPOT_UPSTREAMS=docker.io=" + w.upstream.URL(), "HOME=" + t.TempDir()}, w.store...)
			var stderr strings.Builder
			cmd.Stderr = &stderr
			require.NoError(t, cmd.Start())
			waitFor(t, "the upstream sends the layer", func() bool { return w.upstream.Counts().Requests[upstreamtest.CDNGet] > 1 })
			time.Sleep(500 * time.Millisecond)
			require.NoError(t, cmd.Process.Signal(syscall.SIGINT))
			began := time.Now()
			require.Error(t, cmd.Wait())
			assert.Less(t, time.Since(began), 3*time.Second)
			assert.Equal(t, 1, cmd.ProcessState.ExitCode())
			assert.Contains(t, stderr.String(), "interrupted")
			left, err := filepath.Glob(filepath.Join(folder, "*", "index.json"))
			require.NoError(t, err)
			tars, err := filepath.Glob(filepath.Join(folder, "*.tar*"))
			require.NoError(t, err)
			partial, err := filepath.Glob(filepath.Join(folder, "*", ".partial*"))
			require.NoError(t, err)
			assert.Empty(t, append(append(left, tars...), partial...))

			w.upstream.Faults.Clear()
			var exported movedImages
			w.runJSON(t, &exported, "export", "app:1", "--to", filepath.Join(folder, to))
		})
	}
}

func TestExportRejectsWrongUsage(t *testing.T) {
	t.Parallel()
	w := newFolderCluster(t, filepath.Join(t.TempDir(), "store"))
	empty := t.TempDir()
	for want, args := range map[string][]string{
		"--to":                    {"export", "app"},
		"name an image":           {"export", "--to", empty},
		"is not a platform":       {"export", "app", "--to", empty, "--platform", "amd64"},
		"--from":                  {"import"},
		"not an OCI image layout": {"import", "--from", empty},
		"no such file":            {"import", "--from", filepath.Join(empty, "none")},
		"write 1 or more":         {"import", "--from", empty, "--jobs", "0"},
	} {
		r := w.run(t, args...)
		assert.Equal(t, 2, r.exit, r.stderr)
		assert.Contains(t, r.stderr, want)
		assert.Equal(t, 1, strings.Count(r.stderr, "\n"), r.stderr)
	}

	// One image fails, the other is written.
	w.upstream.Image(fillRepo, "1", 1000)
	r := w.run(t, "export", "app:none", "app:1", "--to", filepath.Join(empty, "some.tar"), "-o", "json")
	assert.Equal(t, 1, r.exit)
	var exported movedImages
	require.NoError(t, json.Unmarshal([]byte(r.stdout), &exported))
	assert.NotEmpty(t, exported.Images[0].Error)
	assert.Empty(t, exported.Images[1].Error)
	w.runJSON(t, &exported, "import", "--from", filepath.Join(empty, "some.tar"))
	assert.Equal(t, []string{"docker.io/" + fillRepo + ":1"}, names(exported))
}

func TestInterruptedImportAndCopyGoOn(t *testing.T) {
	t.Parallel()
	origin := newFolderCluster(t, filepath.Join(t.TempDir(), "store"))
	image := origin.upstream.Image(fillRepo, "1", 30<<20)
	folder := filepath.Join(t.TempDir(), "images")
	var exported movedImages
	origin.runJSON(t, &exported, "export", "app:1", "--to", folder)
	for name, args := range map[string]func(store string) []string{
		"import": func(string) []string { return []string{"import", "--from", folder} },
		"copy":   func(store string) []string { return []string{"copy", "--from", origin.storeURL(t), "--to", store} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newCluster(t)
			var largest atomic.Bool
			url := behindProxy(t, w, &quirk{
				matches: func(r *http.Request) bool {
					return r.Method == http.MethodPut && strings.Contains(r.URL.Path, "/blobs/") && r.ContentLength > 1<<20
				},
				respond: func(*testenv.S3, http.Handler) http.Handler {
					return http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
						largest.Store(true)
						_, _ = io.Copy(io.Discard, r.Body)
						<-r.Context().Done()
					})
				},
			})
			cmd := exec.Command(w.program, args(url)...)
			cmd.Env = append([]string{"HOME=" + t.TempDir()}, append(w.store, "ENTREPOT_STORE="+url)...)
			var stderr strings.Builder
			cmd.Stderr = &stderr
			require.NoError(t, cmd.Start())
			waitFor(t, "the layer is on its way", largest.Load)
			require.NoError(t, cmd.Process.Signal(syscall.SIGINT))
			began := time.Now()
			require.Error(t, cmd.Wait())
			assert.Less(t, time.Since(began), 3*time.Second)
			assert.Equal(t, 1, cmd.ProcessState.ExitCode())
			assert.Contains(t, stderr.String(), "interrupted")
			assert.Empty(t, w.bucket.keys(t, "public/blobs/sha256/"+image.Layers[0].Digest.Encoded()))
			assert.Empty(t, append(w.bucket.keys(t, "public/manifests/"), w.bucket.keys(t, "public/tags/")...))

			again := w.run(t, args(w.storeURL(t))...)
			require.Zero(t, again.exit, again.stderr)
			w.start(t, "ENTREPOT_OFFLINE=true").pull(t, fillRepo, "1", image)
		})
	}
}
