package testenv

import "testing"

// StartVersityGW starts a Versity S3 Gateway on a folder. It supports path-style bucket URLs, and virtual-hosted ones
// below localhost.
func StartVersityGW(t testing.TB) *S3 {
	t.Helper()
	program, data := Tool(t, "versitygw"), t.TempDir()
	return startS3(t, "versitygw", func(t testing.TB, s *S3) *Process {
		t.Helper()
		// Without --keep-alive, each request needs a new connection.
		p := Start(t, s.Name, nil, program, "--keep-alive", "--quiet", "--virtual-domain", "localhost",
			"--port", s.Addr, "--access", s.AccessKey, "--secret", s.SecretKey, "--region", s.Region, "posix", data)
		p.WaitHTTP(t, s.Endpoint)
		return p
	})
}
