package main_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/minio/minio-go/v7"
	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/backend"
	filestore "github.com/entrepot-io/entrepot/backend/fs"
	"github.com/entrepot-io/entrepot/upstream/upstreamtest"
)

// objects gives a test access to the objects of a cluster's store.
type objects struct {
	read   func(t *testing.T, key string) []byte
	write  func(t *testing.T, key string, body []byte)
	remove func(t *testing.T, key string)
}

func (w *cluster) objects(t *testing.T) objects {
	t.Helper()
	if w.bucket.client != nil {
		return objects{
			read: func(t *testing.T, key string) []byte {
				object, err := w.bucket.client.GetObject(t.Context(), w.bucket.name, key, minio.GetObjectOptions{})
				require.NoError(t, err)
				body, err := io.ReadAll(object)
				require.NoError(t, err)
				return body
			},
			write:  func(t *testing.T, key string, body []byte) { w.bucket.put(t, key, body) },
			remove: func(t *testing.T, key string) { w.bucket.remove(t, key) },
		}
	}
	store, err := filestore.Open(strings.TrimPrefix(w.store[0], "ENTREPOT_STORE=file:"))
	require.NoError(t, err)
	return objects{
		read: func(t *testing.T, key string) []byte {
			body, _, err := store.Get(t.Context(), key, backend.Range{})
			require.NoError(t, err)
			defer body.Close()
			text, err := io.ReadAll(body)
			require.NoError(t, err)
			return text
		},
		write: func(t *testing.T, key string, body []byte) {
			_, err := store.Put(t.Context(), key, bytes.NewReader(body), int64(len(body)), backend.PutOptions{})
			require.NoError(t, err)
		},
		remove: func(t *testing.T, key string) { require.NoError(t, store.Delete(t.Context(), key)) },
	}
}

// damages are the ways in which objects are damaged. "metadata stripped" only matters for manifests.
var damages = []struct {
	name   string
	damage func(body, other []byte) []byte // nil: deleted
}{
	{"a bit flipped", func(body, _ []byte) []byte { body[len(body)/2] ^= 1; return body }},
	{"truncated", func(body, _ []byte) []byte { return body[:len(body)-1] }},
	{"emptied", func([]byte, []byte) []byte { return []byte{} }},
	{"replaced", func(_, other []byte) []byte { return other }},
	{"metadata stripped", func(body, _ []byte) []byte { return body }},
	{"deleted", func([]byte, []byte) []byte { return nil }},
}

// verified is the JSON of verify.
type verified struct {
	Checked, Bytes int64
	Bad            []struct {
		Key, Problem string
		Digest       digest.Digest
		Repaired     bool
	}
}

func TestVerifyRepairsDamage(t *testing.T) {
	t.Parallel()
	for name, w := range stores(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := w.start(t)
			var images []upstreamtest.Image
			for i := range 4 {
				image := w.upstream.Image("library/app", fmt.Sprint(i), 2000+int64(i), 3000, 4000)
				r.pull(t, "library/app", fmt.Sprint(i), image)
				images = append(images, image)
			}
			waitFor(t, "all is stored", func() bool { return w.usage(t).Fills.Objects == 0 })
			var clean verified
			w.runJSON(t, &clean, "verify")
			assert.Empty(t, clean.Bad)
			assert.EqualValues(t, 4*5, clean.Checked)

			store, spoiled := w.objects(t), map[string]string{}
			at := 0
			for _, image := range images {
				keys := []string{"public/manifests/sha256/" + image.Digest.Encoded()}
				for _, d := range append(slices.Clone(image.Layers), image.Config) {
					keys = append(keys, "public/blobs/sha256/"+d.Digest.Encoded())
				}
				other := store.read(t, keys[1])
				for i, key := range keys {
					d := damages[at%len(damages)]
					at++
					if d.name == "metadata stripped" && i > 0 || d.name == "replaced" && i == 1 {
						d = damages[0]
					}
					spoiled[key] = d.name
					if body := d.damage(store.read(t, key), other); body != nil {
						store.write(t, key, body)
					} else {
						store.remove(t, key)
					}
				}
			}
			require.Len(t, spoiled, 20)

			found := w.run(t, "verify", "--output", "json", "docker.io/library/app:0")
			assert.Equal(t, 1, found.exit)
			var some verified
			require.NoError(t, json.Unmarshal([]byte(found.stdout), &some))
			assert.NotEmpty(t, some.Bad)
			for _, bad := range some.Bad {
				assert.False(t, bad.Repaired)
			}

			var report verified
			w.runJSON(t, &report, "verify", "--repair")
			for _, bad := range report.Bad {
				assert.True(t, bad.Repaired, bad.Key)
			}
			var again verified
			w.runJSON(t, &again, "verify")
			assert.Empty(t, again.Bad)
			assert.EqualValues(t, 4*5, again.Checked, "all objects are there: %v", slices.Sorted(maps.Keys(spoiled)))
		})
	}
}

func TestVerifyRejectsWrongUsage(t *testing.T) {
	t.Parallel()
	w := newFolderCluster(t, t.TempDir())
	for _, args := range [][]string{{"--sample", "5"}, {"--sample", "101%"}, {"--jobs", "0"}, {"a", "b"}} {
		r := w.run(t, append([]string{"verify"}, args...)...)
		assert.Equal(t, 2, r.exit, args)
		assert.Equal(t, 1, strings.Count(r.stderr, "\n"), r.stderr)
	}
}
