package testenv

import (
	"path"
	"strings"
	"testing"

	"github.com/minio/minio-go/v7"
)

// A Folder gives direct access to the bucket folder in which a store keeps its objects, bypassing the store.
type Folder struct {
	Server *S3
	Bucket string
	Path   string // empty: the whole bucket
}

// Leftovers returns the multipart uploads of key that are neither completed nor aborted.
func (f Folder) Leftovers(t testing.TB, key string) []string {
	t.Helper()
	return f.Server.Uploads(t, f.Bucket, path.Join(f.Path, key))
}

// Abandon starts a multipart upload of key and sends one part, but does not complete it.
func (f Folder) Abandon(t testing.TB, key string) {
	t.Helper()
	core, key := minio.Core{Client: f.Server.Client(t)}, path.Join(f.Path, key)
	id, err := core.NewMultipartUpload(t.Context(), f.Bucket, key, minio.PutObjectOptions{})
	if err == nil {
		_, err = core.PutObjectPart(t.Context(), f.Bucket, key, id, 1, strings.NewReader("part"), 4, minio.PutObjectPartOptions{})
	}
	if err != nil {
		t.Fatalf("abandon an upload of %s on %s: %v", key, f.Server.Name, err)
	}
}

// Keep puts an object into the folder so that it is never empty. In versitygw 1.8.0 a Delete removes empty parent folders,
// and a concurrent Put into a sibling folder then fails with 409, "Existing Object is a directory".
func (f Folder) Keep(t testing.TB) {
	t.Helper()
	_, err := f.Server.Client(t).PutObject(t.Context(), f.Bucket, path.Join(f.Path, "keep"), strings.NewReader(""), 0, minio.PutObjectOptions{})
	if err != nil {
		t.Fatalf("keep %s on %s: %v", f.Path, f.Server.Name, err)
	}
}
