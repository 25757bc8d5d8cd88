//go:build e2e

package stores_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"path"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/infra/testenv"
)

// bucket gives the test direct access to the replicas' bucket.
type bucket struct {
	server *testenv.S3
	client *minio.Client
	name   string
}

func (b bucket) list(t *testing.T, prefix string) (keys []string) {
	t.Helper()
	for object := range b.client.ListObjectsIter(t.Context(), b.name, minio.ListObjectsOptions{Prefix: prefix, Recursive: true}) {
		require.NoError(t, object.Err)
		keys = append(keys, object.Key)
	}
	return keys
}

func blobKey(d digest.Digest) string { return "public/blobs/sha256/" + d.Encoded() }

func fillPrefix(d digest.Digest) string { return "public/fills/sha256/" + d.Encoded() + "/" }

// segments returns the number of segments in the bucket for a blob that a fill is fetching.
func (b bucket) segments(t *testing.T, d digest.Digest) (n int) {
	t.Helper()
	for _, key := range b.list(t, fillPrefix(d)) {
		if path.Base(key) != "lease" {
			n++
		}
	}
	return n
}

// checkSettled waits until no fill leaves anything in the bucket. It then checks that the blobs are stored and that every
// blob and manifest matches its digest.
func (b bucket) checkSettled(t *testing.T, blobs ...digest.Digest) {
	t.Helper()
	var left []string
	for range 300 {
		if left = b.list(t, "public/fills/"); len(left) == 0 {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	assert.Empty(t, left, "leftovers of fills")
	for _, d := range blobs {
		assert.Contains(t, b.list(t, blobKey(d)), blobKey(d))
		assert.Empty(t, b.server.Uploads(t, b.name, blobKey(d)))
	}
	for _, key := range append(b.list(t, "public/blobs/"), b.list(t, "public/manifests/")...) {
		assert.Equal(t, path.Base(key), b.hash(t, key), "digest of %s", key)
	}
}

func (b bucket) hash(t *testing.T, key string) string {
	t.Helper()
	object, err := b.client.GetObject(t.Context(), b.name, key, minio.GetObjectOptions{})
	require.NoError(t, err)
	defer object.Close()
	sum := sha256.New()
	_, err = io.Copy(sum, object)
	require.NoError(t, err, key)
	return hex.EncodeToString(sum.Sum(nil))
}

// logs returns the warnings and errors that the replicas logged since they started to listen.
func logs(t *testing.T, replicas []*replica) string {
	t.Helper()
	var found strings.Builder
	for i, r := range replicas {
		_, since, _ := strings.Cut(r.Output(t), `"msg":"listening"`)
		for line := range strings.Lines(since) {
			if strings.Contains(line, `"level":"WARN"`) || strings.Contains(line, `"level":"ERROR"`) {
				fmt.Fprintf(&found, "replica %d: %.400s\n", i+1, strings.TrimSuffix(line, "\n"))
			}
		}
	}
	return found.String()
}
