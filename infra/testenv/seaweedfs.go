package testenv

import (
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"testing"
)

// StartSeaweedFS starts a SeaweedFS server with all its components in one process. It supports path-style bucket URLs only.
func StartSeaweedFS(t testing.TB) *S3 {
	t.Helper()
	program, data := Tool(t, "weed"), t.TempDir()
	identities := filepath.Join(data, "s3.json")
	args := []string{
		"server", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-dir=" + data,
		"-s3", "-s3.config=" + identities, "-s3.iam=false", "-s3.port.iceberg=0",
		"-volume.max=5000", "-master.volumeSizeLimitMB=64", "-master.telemetry=false", // each bucket has volumes of its own
	}
	for _, part := range []string{"master", "volume", "filer"} {
		args = append(args, "-"+part+".port="+freePort(t), "-"+part+".port.grpc="+freePort(t))
	}
	args = append(args, "-s3.port.grpc="+freePort(t))
	return startS3(t, "seaweedfs", func(t testing.TB, s *S3) *Process {
		t.Helper()
		s.writeIdentities(t, identities)
		_, port, _ := net.SplitHostPort(s.Addr) // from FreeAddr, so always valid
		p := Start(t, s.Name, nil, program, append(args, "-s3.port="+port)...)
		p.WaitHTTP(t, s.Endpoint+"/healthz")
		return p
	})
}

// writeIdentities writes the server's s3.json, which gives its own credentials all permissions.
func (s *S3) writeIdentities(t testing.TB, path string) {
	t.Helper()
	text, err := json.Marshal(map[string]any{"identities": []any{map[string]any{
		"name":        "entrepot",
		"credentials": []any{map[string]string{"accessKey": s.AccessKey, "secretKey": s.SecretKey}},
		"actions":     []string{"Admin"},
	}}})
	if err == nil {
		err = os.WriteFile(path, text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func freePort(t testing.TB) string {
	t.Helper()
	_, port, err := net.SplitHostPort(FreeAddr(t, "127.0.0.1"))
	if err != nil {
		t.Fatal(err)
	}
	return port
}
