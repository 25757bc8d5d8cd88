package testenv

import (
	"testing"

	"github.com/minio/minio-go/v7/pkg/credentials"
)

// StartMinIO starts a MinIO server with one drive. It supports path-style bucket URLs, and virtual-hosted ones below
// localhost.
func StartMinIO(t testing.TB) *S3 {
	t.Helper()
	program, data := Tool(t, "minio"), t.TempDir()
	return startS3(t, "minio", func(t testing.TB, s *S3) *Process {
		t.Helper()
		env := []string{
			"MINIO_ROOT_USER=" + s.AccessKey,
			"MINIO_ROOT_PASSWORD=" + s.SecretKey,
			"MINIO_DOMAIN=localhost",
			"MINIO_BROWSER=off", // the console needs a second port
			"MINIO_UPDATE=off",
		}
		p := Start(t, s.Name, env, program, "server", "--quiet", "--address", s.Addr, data)
		p.WaitHTTP(t, s.Endpoint+"/minio/health/ready")
		// MinIO reports ready before it has loaded users and policies.
		p.WaitUntil(t, "issues credentials", func() error { _, err := s.assumeRole(""); return err })
		return p
	})
}

// AssumeRole returns temporary credentials from MinIO with the permissions of the server's own. They expire after 15
// minutes, MinIO's minimum.
func (s *S3) AssumeRole(t testing.TB) credentials.Value { t.Helper(); return s.Permitted(t, "") }

// Permitted is like AssumeRole, but limits the credentials to the permissions of a JSON policy. An empty policy sets no
// limit.
func (s *S3) Permitted(t testing.TB, policy string) credentials.Value {
	t.Helper()
	issued, err := s.assumeRole(policy)
	if err != nil {
		t.Fatalf("assume a role on %s: %v", s.Name, err)
	}
	return issued
}

func (s *S3) assumeRole(policy string) (credentials.Value, error) {
	role, err := credentials.NewSTSAssumeRole(s.Endpoint, credentials.STSAssumeRoleOptions{
		AccessKey: s.AccessKey, SecretKey: s.SecretKey, DurationSeconds: 900, Policy: policy,
	})
	if err != nil {
		return credentials.Value{}, err
	}
	return role.GetWithContext(nil)
}
