package testenv

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/minio/minio-go/v7/pkg/credentials"
)

// Environment returns the environment variables with the program's credentials for a bucket: by default the server's own.
// If ENTREPOT_TEST_POLICY names the file that terraform/check writes, credentials on MinIO have only the permissions that
// the Terraform module for MinIO grants.
func (s *S3) Environment(t testing.TB, bucket string) []string {
	t.Helper()
	v := credentials.Value{AccessKeyID: s.AccessKey, SecretAccessKey: s.SecretKey}
	if file := os.Getenv("ENTREPOT_TEST_POLICY"); file != "" && s.Name == "minio" {
		v = s.Permitted(t, grantedOn(t, file, bucket))
	}
	env := []string{"AWS_ACCESS_KEY_ID=" + v.AccessKeyID, "AWS_SECRET_ACCESS_KEY=" + v.SecretAccessKey}
	if v.SessionToken != "" {
		env = append(env, "AWS_SESSION_TOKEN="+v.SessionToken)
	}
	return env
}

// grantedOn reads the module's policy from a file and returns it for another bucket.
func grantedOn(t testing.TB, file, bucket string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	var modules map[string]struct {
		Bucket string
		Policy json.RawMessage
	}
	if err == nil {
		err = json.Unmarshal(text, &modules)
	}
	if err != nil || modules["minio"].Policy == nil {
		t.Fatalf("ENTREPOT_TEST_POLICY: no policy of the module minio in %s: %v", file, err)
	}
	const arn = "arn:aws:s3:::"
	return strings.ReplaceAll(string(modules["minio"].Policy), arn+modules["minio"].Bucket, arn+bucket)
}
