package main_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/upstream/upstreamtest"
)

// warmReport is what warm prints as JSON.
type warmReport struct {
	Images []struct {
		Image, Digest, Error string
		Bytes, Landed        int64
	}
	Bytes, Landed int64
	Seconds       float64
}

func TestWarmLandsWhatIsNotCached(t *testing.T) {
	t.Parallel()
	for name, w := range stores(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			image := w.upstream.Image("library/app", "1", 12<<20, 1000)
			index := w.upstream.Index("org/tool", "latest", 2000)
			list := filepath.Join(t.TempDir(), "list")
			require.NoError(t, os.WriteFile(list, []byte("app:1 # again\norg/tool\n"), 0o600))
			args := []string{"warm", "docker.io/library/app:1", "-f", list, "--platform", "linux/arm64"}

			var first warmReport
			w.runJSON(t, &first, args...)
			require.Len(t, first.Images, 3)
			assert.Equal(t, image.Digest.String(), first.Images[0].Digest)
			assert.Equal(t, index.Digest.String(), first.Images[2].Digest)
			size := image.Size + image.Config.Size + 12<<20 + 1000
			assert.EqualValues(t, size, first.Images[0].Bytes)
			assert.Equal(t, []string{"linux/arm64"}, w.listed(t, "ls", "*/org/tool")["docker.io/org/tool:latest"].Platforms)

			sent := w.upstream.Counts().BytesByDigest[image.Layers[0].Digest]
			assert.EqualValues(t, 12<<20, sent, "each blob is fetched once")
			var second warmReport
			w.runJSON(t, &second, args...)
			assert.Zero(t, second.Landed)
			assert.Equal(t, first.Bytes, second.Bytes)
			assert.Equal(t, sent, w.upstream.Counts().BytesByDigest[image.Layers[0].Digest])

			// Clients get everything while the upstream is down.
			w.upstream.Faults.Set(upstreamtest.Fault{Status: 503})
			r := w.start(t)
			r.pull(t, "library/app", "1", image)
			r.pull(t, "org/tool", index.Images[1].Digest.String(), index.Images[1])
		})
	}
}

func TestWarmReportsFailuresAndGoesOn(t *testing.T) {
	t.Parallel()
	w := newCluster(t)
	image := w.upstream.Image("library/app", "1", 1000)
	w.upstream.Index("org/tool", "latest", 2000)
	r := w.run(t, "warm", "docker.io/library/none:1", "docker.io/library/app:1", "other.example/app", "org/tool", "--platform", "windows/amd64", "--output", "json")
	assert.Equal(t, 1, r.exit)
	var report warmReport
	require.NoError(t, json.Unmarshal([]byte(r.stdout), &report))
	require.Len(t, report.Images, 4)
	assert.Contains(t, report.Images[0].Error, "answered 401")
	assert.Equal(t, image.Digest.String(), report.Images[1].Digest)
	assert.Empty(t, report.Images[1].Error)
	assert.Contains(t, report.Images[2].Error, "not mirrored")
	assert.Contains(t, report.Images[3].Error, "only for [linux/amd64 linux/arm64]")
	assert.Equal(t, 3, strings.Count(r.stderr, "\n"), r.stderr)

	for want, args := range map[string][]string{
		"name an image":     {"warm"},
		"is not a platform": {"warm", "app", "--platform", "amd64"},
		"write 1 or more":   {"warm", "app", "--jobs", "0"},
		"no such file":      {"warm", "-f", "/does/not/exist"},
	} {
		r := w.run(t, args...)
		assert.Equal(t, 2, r.exit, r.stderr)
		assert.Contains(t, r.stderr, want)
	}
}

func TestInterruptedWarmGoesOn(t *testing.T) {
	t.Parallel()
	w := newCluster(t)
	image := w.upstream.Image("library/app", "1", 30<<20)
	w.upstream.Faults.Set(upstreamtest.Fault{Kind: upstreamtest.CDNGet, BytesPerSecond: 2 << 20})
	cmd := w.command(t, "warm", "app:1")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	require.NoError(t, cmd.Start())
	waitFor(t, "a segment is stored", func() bool { return len(w.bucket.keys(t, "public/fills/")) > 1 })
	require.NoError(t, cmd.Process.Signal(syscall.SIGINT))
	began := time.Now()
	require.Error(t, cmd.Wait())
	t.Logf("ended after %v", time.Since(began))
	assert.Equal(t, 1, cmd.ProcessState.ExitCode())
	assert.Contains(t, stderr.String(), "interrupted")

	w.upstream.Faults.Clear()
	var report warmReport
	w.runJSON(t, &report, "warm", "app:1")
	assert.Equal(t, image.Digest.String(), report.Images[0].Digest)
	w.bucket.nothingLeft(t)
	assert.EqualValues(t, 3, w.bucket.allVerified(t))
}

func TestWarmReferrers(t *testing.T) {
	t.Parallel()
	w := newCluster(t)
	index := w.upstream.Index("org/tool", "latest", 2000)
	w.upstream.Tag("org/tool", "sha256-"+index.Digest.Encoded()+".sig", w.upstream.Image("org/tool", "", 50).Digest)
	var report warmReport
	w.runJSON(t, &report, "warm", "org/tool", "--platform", "linux/amd64")
	alone := report.Bytes
	w.runJSON(t, &report, "warm", "org/tool", "--platform", "linux/amd64", "--referrers")
	assert.Greater(t, report.Bytes, alone)
	images := w.listed(t, "ls")
	assert.Contains(t, images, "docker.io/org/tool:sha256-"+index.Digest.Encoded()+".sig")
}
