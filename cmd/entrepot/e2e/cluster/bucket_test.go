//go:build e2e

package cluster_test

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

	"github.com/entrepot-io/entrepot/infra/testenv"
)

// bucket gives the test direct access to the replicas' bucket.
type bucket struct {
	server *testenv.S3
	name   string
}

func (b bucket) list(t *testing.T, prefix string) []minio.ObjectInfo {
	t.Helper()
	var objects []minio.ObjectInfo
	for object := range b.server.Client(t).ListObjectsIter(t.Context(), b.name, minio.ListObjectsOptions{Prefix: prefix, Recursive: true}) {
		if object.Err != nil {
			t.Fatalf("list %s: %v", prefix, object.Err)
		}
		objects = append(objects, object)
	}
	return objects
}

// waitForBlobs waits up to a minute until the bucket has the blobs of all images. A client has all bytes shortly before.
func (b bucket) waitForBlobs(t *testing.T, c *catalog) {
	t.Helper()
	images, _ := c.all()
	for range 60 {
		stored := map[string]bool{}
		for _, object := range b.list(t, "public/blobs/") {
			stored[path.Base(object.Key)] = true
		}
		missing := 0
		for _, img := range images {
			for _, blob := range img.blobs() {
				if !stored[blob.Digest.Encoded()] {
					missing++
				}
			}
		}
		if missing == 0 {
			return
		}
		time.Sleep(time.Second)
	}
}

// check fails the test unless every stored blob and manifest matches its digest and all images are complete.
func (b bucket) check(t *testing.T, j *journal, images []image) {
	t.Helper()
	stored := map[string]bool{}
	for _, object := range append(b.list(t, "public/blobs/"), b.list(t, "public/manifests/")...) {
		got := b.hash(t, object.Key)
		if path.Base(object.Key) != got {
			j.fail(t, "bucket", "%s has hash %s", object.Key, got)
		}
		stored[object.Key] = true
	}
	for _, img := range images {
		if key := "public/manifests/sha256/" + img.Digest.Encoded(); !stored[key] {
			j.fail(t, "bucket", "%s of %s is missing", key, img.name())
		}
		for _, blob := range img.blobs() {
			key := "public/blobs/sha256/" + blob.Digest.Encoded()
			if !stored[key] {
				j.fail(t, "bucket", "%s of %s is missing", key, img.name())
			}
			for _, upload := range b.server.Uploads(t, b.name, key) {
				j.fail(t, "bucket", "upload of %s neither completed nor aborted: %s", img.name(), upload)
			}
		}
	}
}

func (b bucket) hash(t *testing.T, key string) string {
	t.Helper()
	object, err := b.server.Client(t).GetObject(t.Context(), b.name, key, minio.GetObjectOptions{})
	if err != nil {
		t.Fatalf("read %s: %v", key, err)
	}
	defer object.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, object); err != nil {
		t.Fatalf("read %s: %v", key, err)
	}
	return hex.EncodeToString(sum.Sum(nil))
}

// leftovers counts the objects that fills left behind, by blob or kind. text is a summary with their total size.
func (b bucket) leftovers(t *testing.T) (left map[string]int, text string) {
	t.Helper()
	left = map[string]int{}
	bytes := int64(0)
	for _, object := range b.list(t, "public/fills/") {
		kind, rest, _ := strings.Cut(strings.TrimPrefix(object.Key, "public/fills/"), "/")
		if kind == "sha256" {
			blob, _, _ := strings.Cut(rest, "/")
			kind = "blob " + blob[:8]
		}
		left[kind]++
		bytes += object.Size
	}
	return left, fmt.Sprintf("%s (%.1f MB)", counts(left), float64(bytes)/1e6)
}
