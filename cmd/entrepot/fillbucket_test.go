package main_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/infra/testenv"
)

// fillBucket gives a test direct access to the bucket of its replicas.
type fillBucket struct {
	name   string
	server *testenv.S3
	client *minio.Client
}

func newFillBucket(t *testing.T, server *testenv.S3) fillBucket {
	t.Helper()
	b := fillBucket{bucketName(), server, server.Client(t)}
	server.CreateBucket(t, b.name)
	return b
}

// keys returns the keys below a prefix.
func (b fillBucket) keys(t *testing.T, prefix string) []string {
	t.Helper()
	keys := []string{}
	for _, object := range b.list(t, prefix) {
		keys = append(keys, object.Key)
	}
	return keys
}

func (b fillBucket) list(t *testing.T, prefix string) []minio.ObjectInfo {
	t.Helper()
	var objects []minio.ObjectInfo
	for object := range b.client.ListObjectsIter(t.Context(), b.name, minio.ListObjectsOptions{Prefix: prefix, Recursive: true}) {
		require.NoError(t, object.Err)
		objects = append(objects, object)
	}
	return objects
}

func (b fillBucket) has(t *testing.T, key string) bool {
	t.Helper()
	_, err := b.client.StatObject(t.Context(), b.name, key, minio.StatObjectOptions{})
	if minio.ToErrorResponse(err).Code == "NoSuchKey" {
		return false
	}
	require.NoError(t, err)
	return true
}

func (b fillBucket) put(t *testing.T, key string, body []byte) minio.UploadInfo {
	t.Helper()
	info, err := b.client.PutObject(t.Context(), b.name, key, bytes.NewReader(body), int64(len(body)), minio.PutObjectOptions{})
	require.NoError(t, err)
	return info
}

func (b fillBucket) remove(t *testing.T, key string) {
	t.Helper()
	require.NoError(t, b.client.RemoveObject(t.Context(), b.name, key, minio.RemoveObjectOptions{}))
}

// stored returns how many bytes of a blob are in the bucket as segments, counting each segment once.
func (b fillBucket) stored(t *testing.T, blob coldBlob) int64 {
	t.Helper()
	segments := map[string]int64{}
	for _, object := range b.list(t, blob.fillPrefix()) {
		if n, _, ok := strings.Cut(strings.TrimPrefix(object.Key, blob.fillPrefix()), "."); ok {
			segments[n] = object.Size
		}
	}
	var total int64
	for _, size := range segments {
		total += size
	}
	return total
}

// leaseRecord holds the fields of a lease that tests read.
type leaseRecord struct {
	Turn     int  `json:"turn"`
	Released bool `json:"released"`
	State    struct {
		Size int64 `json:"size"`
	} `json:"state"`
}

// lease returns the lease of a blob, if it exists.
func (b fillBucket) lease(t *testing.T, blob coldBlob) (record leaseRecord, ok bool) {
	t.Helper()
	object, err := b.client.GetObject(t.Context(), b.name, blob.fillPrefix()+"lease", minio.GetObjectOptions{})
	require.NoError(t, err)
	defer object.Close()
	data, err := io.ReadAll(object)
	if minio.ToErrorResponse(err).Code == "NoSuchKey" {
		return record, false
	}
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(data, &record), "%s", data)
	return record, true
}

// nothingLeft waits until the bucket has no state of fills: a leader removes it after its clients have been served.
func (b fillBucket) nothingLeft(t *testing.T) {
	t.Helper()
	var left []string
	for began := time.Now(); ; time.Sleep(min(20*time.Millisecond+time.Since(began)/20, 100*time.Millisecond)) {
		if left = b.keys(t, "public/fills/"); len(left) == 0 {
			return
		}
		if time.Since(began) > time.Minute {
			t.Fatalf("left behind in the bucket:\n%s", strings.Join(left, "\n"))
		}
	}
}

// noUploads fails the test if the bucket has an upload of the blob that was neither completed nor aborted.
func (b fillBucket) noUploads(t *testing.T, blob coldBlob) {
	t.Helper()
	assert.Empty(t, b.server.Uploads(t, b.name, blob.key()))
}

// allVerified fails the test if a stored blob or manifest does not match the digest in its key. It returns their number.
func (b fillBucket) allVerified(t *testing.T) int {
	t.Helper()
	objects := append(b.list(t, "public/blobs/"), b.list(t, "public/manifests/")...)
	for _, info := range objects {
		object, err := b.client.GetObject(t.Context(), b.name, info.Key, minio.GetObjectOptions{})
		require.NoError(t, err)
		got := digestOfReader(t, object)
		object.Close()
		algorithm, encoded, _ := strings.Cut(got, ":")
		want := fmt.Sprintf("/%s/%s", algorithm, encoded)
		assert.True(t, strings.HasSuffix(info.Key, want), "%s has the bytes of %s", info.Key, got)
	}
	return len(objects)
}

// hashOf returns the digest of all bytes in r.
func hashOf(r io.Reader) (string, error) {
	hash := sha256.New()
	_, err := io.Copy(hash, r)
	return "sha256:" + hex.EncodeToString(hash.Sum(nil)), err
}
