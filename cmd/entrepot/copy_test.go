package main_test

import (
	"encoding/json"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/infra/testenv"
	"github.com/entrepot-io/entrepot/mirror/inventory"
)

// copied is what copy prints as JSON.
type copied struct {
	Copied, Skipped inventory.Amount
	Failed          []struct{ Key, Error string }
	Seconds         float64
}

// storeURL returns a cluster's store as in ENTREPOT_STORE.
func (w *cluster) storeURL(t *testing.T) string {
	t.Helper()
	for _, setting := range w.store {
		if url, ok := strings.CutPrefix(setting, "ENTREPOT_STORE="); ok {
			return url
		}
	}
	t.Fatal("the cluster has no store")
	return ""
}

func TestCopiedCacheIsServed(t *testing.T) {
	t.Parallel()
	server := testenv.StartVersityGW(t)
	minio, versity := newCluster(t), newClusterOn(t, server)
	for name, w := range map[string]struct{ from, to *cluster }{
		"MinIO to folder":     {minio, newFolderCluster(t, filepath.Join(t.TempDir(), "store"))},
		"folder to MinIO":     {newFolderCluster(t, filepath.Join(t.TempDir(), "store")), newCluster(t)},
		"versitygw to folder": {versity, newFolderCluster(t, filepath.Join(t.TempDir(), "store"))},
		"folder to versitygw": {newFolderCluster(t, filepath.Join(t.TempDir(), "store")), newClusterOn(t, server)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			from, to := w.from, w.to
			image := from.upstream.Image(fillRepo, "1", 11<<20, 1000)
			other := from.upstream.Image(fillRepo, "2", 3000)
			signature := "sha256-" + image.Digest.Encoded() + ".sig"
			signed := from.upstream.Image(fillRepo, "", 50)
			from.upstream.Tag(fillRepo, signature, signed.Digest)
			r := from.start(t)
			r.pull(t, fillRepo, "1", image)
			r.pull(t, fillRepo, "2", other)
			r.pull(t, fillRepo, signature, signed)
			require.Equal(t, http.StatusOK, r.request(t, "/v2/"+fillRepo+"/tags/list").StatusCode)
			waitFor(t, "all is stored", func() bool { return from.usage(t).Fills.Objects == 0 })

			settings := from // the settings of the bucket, whichever side it is
			if from.bucket.client == nil {
				settings = to
			}
			args := []string{"copy", "--from", from.storeURL(t), "--to", to.storeURL(t)}
			var some, all, again copied
			settings.runJSON(t, &some, append(args, "docker.io/"+fillRepo+":1")...)
			assert.Empty(t, some.Failed)
			listed := to.listed(t, "ls")
			assert.Len(t, listed, 2)
			assert.Contains(t, listed, "docker.io/"+fillRepo+":"+signature)
			settings.runJSON(t, &all, args...)
			assert.Equal(t, some.Copied.Objects, all.Skipped.Objects)
			settings.runJSON(t, &again, args...)
			assert.Zero(t, again.Copied)
			var clean verified
			to.runJSON(t, &clean, "verify")
			assert.Empty(t, clean.Bad)

			setting, dials := countDials(t)
			site := to.start(t, "ENTREPOT_OFFLINE=true", setting)
			site.pull(t, fillRepo, "1", image)
			site.pull(t, fillRepo, "2", other)
			assert.Equal(t, http.StatusOK, site.request(t, "/v2/"+fillRepo+"/tags/list").StatusCode)
			assert.Zero(t, dials.Load())
		})
	}
}

func TestDamagedObjectsAreNotCopied(t *testing.T) {
	t.Parallel()
	from := newFolderCluster(t, filepath.Join(t.TempDir(), "store"))
	to := newCluster(t)
	image := from.upstream.Image(fillRepo, "1", 11<<20)
	other := from.upstream.Image(fillRepo, "2", 3000)
	r := from.start(t)
	r.pull(t, fillRepo, "1", image)
	r.pull(t, fillRepo, "2", other)
	waitFor(t, "all is stored", func() bool { return from.usage(t).Fills.Objects == 0 })
	objects := from.objects(t)
	bad := []string{"public/blobs/sha256/" + image.Layers[0].Digest.Encoded(), "public/manifests/sha256/" + other.Digest.Encoded()}
	for _, key := range bad {
		body := objects.read(t, key)
		body[len(body)/2] ^= 1
		objects.write(t, key, body)
	}
	result := to.run(t, "copy", "--from", from.storeURL(t), "--to", to.storeURL(t), "--output", "json")
	assert.Equal(t, 1, result.exit)
	var report copied
	require.NoError(t, json.Unmarshal([]byte(result.stdout), &report))
	var failed []string
	for _, f := range report.Failed {
		failed = append(failed, f.Key)
	}
	assert.ElementsMatch(t, append(bad, "public/tags/docker.io/"+fillRepo+"/_/2"), failed)
	for _, key := range failed {
		assert.Contains(t, result.stderr, key)
		assert.Empty(t, to.bucket.keys(t, key))
	}
}

func TestCopyRejectsWrongUsage(t *testing.T) {
	t.Parallel()
	w := newFolderCluster(t, filepath.Join(t.TempDir(), "store"))
	empty := "file:" + t.TempDir()
	for want, args := range map[string][]string{
		"--from":                {"--to", empty},
		"--to":                  {"--from", empty},
		"are the same store":    {"--from", empty, "--to", empty},
		"unknown kind of store": {"--from", "ftp://a", "--to", empty},
		"no such file":          {"--from", "file:/does/not/exist", "--to", empty},
		"one pattern at most":   {"a", "b"},
	} {
		r := w.run(t, append([]string{"copy"}, args...)...)
		assert.Equal(t, 2, r.exit, r.stderr)
		assert.Contains(t, r.stderr, want)
		assert.Equal(t, 1, strings.Count(r.stderr, "\n"), r.stderr)
	}
	r := w.run(t, "copy", "--from", empty, "--to", w.storeURL(t), "docker.io/library/none")
	assert.Equal(t, 1, r.exit)
	assert.Contains(t, r.stderr, "no such image in the cache")
}
