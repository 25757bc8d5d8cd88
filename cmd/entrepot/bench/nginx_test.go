//go:build bench

package bench_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/entrepot-io/entrepot/infra/testenv"
)

// startNginx starts the baseline for streams: nginx, which serves the files in folder by sendfile and proxies a bucket
// without buffering.
func startNginx(t *testing.T, folder string, s3 *testenv.S3, bucket string) (*testenv.Process, string) {
	t.Helper()
	addr, own := testenv.FreeAddr(t, "127.0.0.1"), t.TempDir()
	user := ""
	if os.Geteuid() == 0 {
		user = "user root;" // so that its workers can read the test's folder
	}
	text := fmt.Sprintf(`daemon off;
%s
worker_processes auto;
pid %s/pid;
error_log stderr warn;
events { worker_connections 1024; }
http {
  access_log off;
  sendfile on;
  tcp_nopush on;
  client_body_temp_path %[2]s/body;
  proxy_temp_path %[2]s/proxy;
  fastcgi_temp_path %[2]s/fastcgi;
  uwsgi_temp_path %[2]s/uwsgi;
  scgi_temp_path %[2]s/scgi;
  server {
    listen %s;
    root %s;
    location /%s/ {
      proxy_pass %s;
      proxy_buffering off;
    }
  }
}
`, user, own, addr, folder, bucket, s3.Endpoint)
	config := filepath.Join(own, "nginx.conf")
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p := testenv.Start(t, "nginx", nil, testenv.Tool(t, "nginx"), "-c", config, "-e", "stderr")
	p.WaitHTTP(t, "http://"+addr+"/")
	return p, addr
}
