package testenv

import (
	"testing"

	"github.com/minio/minio-go/v7/pkg/credentials"
)

// StartMinIO runs a MinIO server with one drive. It knows buckets by path, and as hosts below localhost.
func StartMinIO(t testing.TB) *S3 {
	t.Helper()
	program, data := Tool(t, "minio"), t.TempDir()
	return startS3(t, "minio", func(t testing.TB, s *S3) *Process {
		t.Helper()
		env := []string{
			"MINIO_ROOT_USER=" + s.AccessKey,
			"MINIO_ROOT_PASSWORD=" + s.SecretKey,
			"MINIO_DOMAIN=localhost",
			"MINIO_BROWSER=off", // no console: it would take a second port
			"MINIO_UPDATE=off",
		}
		p := Start(t, s.Name, env, program, "server", "--quiet", "--address", s.Addr, data)
		p.WaitHTTP(t, s.Endpoint+"/minio/health/ready")
		// It says so before it knows of users and policies.
		p.WaitUntil(t, "issues credentials", func() error { _, err := s.assumeRole(""); return err })
		return p
	})
}

// AssumeRole has MinIO issue temporary credentials with all that the server's own may do. They live 15 minutes, the
// least that MinIO issues.
func (s *S3) AssumeRole(t testing.TB) credentials.Value { t.Helper(); return s.Permitted(t, "") }

// Permitted is AssumeRole with only what a policy, in JSON, permits; an empty one is none.
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
