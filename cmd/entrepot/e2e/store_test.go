//go:build e2e

package e2e_test

import (
	"crypto/rand"
	"strings"
	"testing"

	"github.com/entrepot-io/entrepot/infra/testenv"
)

// A store creates an empty bucket on a server and returns the program's settings for it.
type store func(t testing.TB, server *testenv.S3) []string

func minioStore(t testing.TB, server *testenv.S3) []string {
	t.Helper()
	bucket := newBucket(t, server)
	return append(server.Environment(t, bucket), "ENTREPOT_STORE=minio+"+server.Endpoint+"/"+bucket)
}

func s3Store(t testing.TB, server *testenv.S3) []string {
	t.Helper()
	bucket := newBucket(t, server)
	return append(server.Environment(t, bucket), "ENTREPOT_STORE=s3://"+bucket, "AWS_ENDPOINT_URL="+server.Endpoint, "AWS_REGION="+server.Region)
}

func newBucket(t testing.TB, server *testenv.S3) string {
	t.Helper()
	name := "e2e-" + strings.ToLower(rand.Text())
	server.CreateBucket(t, name)
	return name
}
