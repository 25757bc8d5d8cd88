//go:build e2e

package main_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/backend"
	filestore "github.com/entrepot-io/entrepot/backend/fs"
	"github.com/entrepot-io/entrepot/infra/testenv"
	"github.com/entrepot-io/entrepot/mirror/gc"
	"github.com/entrepot-io/entrepot/mirror/layout"
)

// cached is many images, each with a tag, a manifest, a config and layers of its own.
type cached struct{ images, layers int }

func (c cached) objects() int { return c.images * (3 + c.layers) }

// write writes the images. link stores a layer.
func (c cached) write(t *testing.T, put func(key string, body []byte), link func(d digest.Digest)) {
	t.Helper()
	for i := range c.images {
		config := fmt.Appendf(nil, `{"os":"linux","architecture":"amd64","n":%d}`, i)
		manifest := v1.Manifest{
			Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageManifest,
			Config: v1.Descriptor{Digest: digest.FromBytes(config), Size: int64(len(config))},
		}
		put(layout.Public.Blob(manifest.Config.Digest), config)
		for n := range c.layers {
			d := digest.FromBytes(binary.BigEndian.AppendUint64(nil, uint64(i*c.layers+n)))
			link(d)
			manifest.Layers = append(manifest.Layers, v1.Descriptor{Digest: d, Size: 100})
		}
		body, err := json.Marshal(manifest)
		require.NoError(t, err)
		d := digest.FromBytes(body)
		put(layout.Public.Manifest(d), body)
		record, err := json.Marshal(map[string]any{"digest": d, "mediaType": v1.MediaTypeImageManifest})
		require.NoError(t, err)
		put(layout.Public.Tag("docker.io", fmt.Sprintf("library/app%d", i/10), fmt.Sprint(i)), record)
	}
}

func TestCommandsOnManyObjectsTakeLittleMemory(t *testing.T) {
	const most = 256 << 20
	folder := filepath.Join(testenv.TmpFS(t, "size=1g"), "store")
	w := newFolderCluster(t, folder)
	store, err := filestore.Open(folder)
	require.NoError(t, err)
	put := func(key string, body []byte) {
		_, err := store.Put(t.Context(), key, bytes.NewReader(body), int64(len(body)), backend.PutOptions{})
		require.NoError(t, err)
	}
	// All layers are links of one file: what the commands read does not tell.
	put("public/fills/source", make([]byte, 100))
	source := filepath.Join(folder, "objects", "public", "fills", "source")
	require.NoError(t, os.MkdirAll(filepath.Join(folder, "objects", "public", "blobs", "sha256"), 0o755))
	c := cached{images: 2000, layers: 97}
	c.write(t, put, func(d digest.Digest) {
		require.NoError(t, os.Link(source, filepath.Join(folder, "objects", filepath.FromSlash(layout.Public.Blob(d)))))
	})
	require.Equal(t, 200_000, c.objects())
	for _, args := range [][]string{{"du"}, {"ls", "--digests"}, {"gc", "--max-size", "1MiB", "--dry-run"}} {
		peak := w.peakMemory(t, append(args, "--output", "json")...)
		t.Logf("%v: %d MiB", args, peak>>20)
		assert.Less(t, peak, int64(most), "peak memory of %v", args)
	}
	assert.EqualValues(t, c.objects()+1, w.usage(t).Objects)
	var dry gc.Report
	w.runJSON(t, &dry, "gc", "--max-size", "1MiB", "--dry-run")
	assert.Greater(t, dry.Deleted.Objects, int64(150_000))
}

// peakMemory runs a command and returns its peak of resident memory in bytes. The rusage of a process is no use: it begins
// with its parent's memory.
func (w *cluster) peakMemory(t *testing.T, args ...string) (peak int64) {
	t.Helper()
	cmd := w.command(t, args...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	require.NoError(t, cmd.Start())
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for {
		select {
		case err := <-ended:
			require.NoError(t, err, stderr.String())
			require.NotZero(t, peak)
			return peak
		case <-time.After(5 * time.Millisecond):
		}
		status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", cmd.Process.Pid)) // it may just have ended
		if _, after, ok := strings.Cut(string(status), "VmHWM:"); ok {
			var kib int64
			if n, _ := fmt.Sscan(after, &kib); n == 1 {
				peak = max(peak, kib<<10)
			}
		}
	}
}

func TestCommandsOnManyObjectsMakeFewRequests(t *testing.T) {
	w := newCluster(t)
	c := cached{images: 100, layers: 27}
	layer := make([]byte, 100)
	var puts sync.WaitGroup
	slots := make(chan struct{}, 16)
	put := func(key string, body []byte) {
		slots <- struct{}{}
		puts.Go(func() {
			defer func() { <-slots }()
			w.bucket.put(t, key, body)
		})
	}
	c.write(t, put, func(d digest.Digest) { put(layout.Public.Blob(d), layer) })
	puts.Wait()

	server := sharedMinIO(t)
	endpoint, err := url.Parse(server.Endpoint)
	require.NoError(t, err)
	var mu sync.Mutex
	passed := requests{}
	proxy := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(endpoint)
			r.Out.Host = r.In.Host // the signature covers it
		},
		ModifyResponse: func(resp *http.Response) error {
			mu.Lock()
			defer mu.Unlock()
			passed[operationOf(resp.Request)]++
			return nil
		},
	})
	t.Cleanup(proxy.Close)
	w.store = append(w.store, fmt.Sprintf("ENTREPOT_STORE=minio+%s/%s", proxy.URL, w.bucket.name))
	pages := c.objects()/1000 + 2 // of 1,000 keys, and one of the markers of use
	for name, test := range map[string]struct {
		args []string
		gets int
	}{
		"du": {[]string{"du"}, 2 * c.images}, // tags and manifests
		"ls": {[]string{"ls"}, 3 * c.images}, // and configs, for the platforms
		"gc": {[]string{"gc", "--max-size", "1B", "--dry-run"}, 2 * c.images},
	} {
		passed = requests{}
		r := w.run(t, test.args...)
		require.Zero(t, r.exit, r.stderr)
		assert.Equal(t, test.gets, passed.of(getObject), name)
		assert.LessOrEqual(t, passed.of(listObjects), pages, name)
		assert.LessOrEqual(t, total(passed), test.gets+pages, "%s makes other requests: %v", name, passed)
	}
}
