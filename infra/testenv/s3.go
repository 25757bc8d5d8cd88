package testenv

import (
	"fmt"
	"net/url"
	"testing"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

// S3 is an S3-compatible server that runs for a test, with its own data folder.
type S3 struct {
	Name      string
	Addr      string // host:port
	Endpoint  string // URL
	AccessKey string
	SecretKey string
	Region    string
	Process   *Process // the current process, or the last one after Stop

	start func(t testing.TB) *Process
}

// startS3 calls run to start a server on a free port. Restart calls run again, with the same port and data.
func startS3(t testing.TB, name string, run func(t testing.TB, s *S3) *Process) *S3 {
	t.Helper()
	addr := FreeAddr(t, "127.0.0.1")
	s := &S3{
		Name: name, Addr: addr, Endpoint: "http://" + addr,
		AccessKey: "entrepot-test", SecretKey: "entrepot-test-secret", Region: "us-east-1",
	}
	s.start = func(t testing.TB) *Process { return run(t, s) }
	s.Process = s.start(t)
	return s
}

// CreateBucket creates an empty bucket.
func (s *S3) CreateBucket(t testing.TB, name string) {
	t.Helper()
	if err := s.Client(t).MakeBucket(t.Context(), name, minio.MakeBucketOptions{Region: s.Region}); err != nil {
		t.Fatalf("create bucket %s on %s: %v", name, s.Name, err)
	}
}

// Uploads returns key and ID of each multipart upload of key that is neither completed nor aborted. It takes a whole key,
// since MinIO cannot list uploads by prefix.
func (s *S3) Uploads(t testing.TB, bucket, key string) []string {
	t.Helper()
	core := minio.Core{Client: s.Client(t)}
	found, err := core.ListMultipartUploads(t.Context(), bucket, key, "", "", "", 1000)
	if minio.ToErrorResponse(err).Code == "NoSuchUpload" {
		return nil // rclone's response for a bucket that never had uploads
	}
	if err != nil {
		t.Fatalf("list uploads of %s on %s: %v", key, s.Name, err)
	}
	var uploads []string
	for _, u := range found.Uploads {
		// Servers other than MinIO list by prefix. Ceph escapes keys but omits EncodingType, so the library does not
		// unescape them.
		if plain, err := url.PathUnescape(u.Key); u.Key == key || err == nil && plain == key {
			uploads = append(uploads, fmt.Sprintf("%s (%s)", key, u.UploadID))
		}
	}
	return uploads
}

// Client returns a client with the server's own credentials, for direct access that bypasses the code under test.
func (s *S3) Client(t testing.TB) *minio.Client {
	t.Helper()
	transport, err := minio.DefaultTransport(false)
	if err != nil {
		t.Fatal(err)
	}
	// After an empty upload with a streamed signature, versitygw 1.8 takes the rest of its body for the connection's next
	// request, which then fails with 400 ("An error occurred when parsing the HTTP request"). The backends do not sign that way.
	transport.DisableKeepAlives = s.Name == "versitygw"
	client, err := minio.New(s.Addr, &minio.Options{
		Creds:     credentials.NewStaticV4(s.AccessKey, s.SecretKey, ""),
		Region:    s.Region,
		Transport: transport,
	})
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// Stop kills the server, as a crash would. Its data remain.
func (s *S3) Stop() { s.Process.Kill() }

// Restart starts a stopped server on the same port and data, and waits until it is ready. It runs until t ends.
func (s *S3) Restart(t testing.TB) {
	t.Helper()
	s.Process = s.start(t)
}
