package testenv

import "testing"

// StartRclone starts "rclone serve s3" on a folder. It supports path-style bucket URLs only.
func StartRclone(t testing.TB) *S3 {
	t.Helper()
	program, data := Tool(t, "rclone"), t.TempDir()
	return startS3(t, "rclone", func(t testing.TB, s *S3) *Process {
		t.Helper()
		p := Start(t, s.Name, nil, program, "serve", "s3", "--config", "", "--addr", s.Addr,
			"--auth-key", s.AccessKey+","+s.SecretKey, data)
		p.WaitHTTP(t, s.Endpoint)
		return p
	})
}
