//go:build bench

package bench_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/entrepot-io/entrepot/infra/testenv"
)

// startDistribution starts distribution v3 as a pull-through cache of upstream, a URL. It stores blobs in a bucket and
// redirects clients there.
func startDistribution(t *testing.T, s3 *testenv.S3, bucket, upstream string) (host string) {
	t.Helper()
	addr := testenv.FreeAddr(t, "127.0.0.1")
	config := filepath.Join(t.TempDir(), "config.yml")
	text := fmt.Sprintf(`version: 0.1
log: {level: error, accesslog: {disabled: true}}
storage:
  s3: {region: %s, regionendpoint: %q, bucket: %s, accesskey: %s, secretkey: %s, forcepathstyle: true, secure: false}
  redirect: {disable: false}
http: {addr: %q, secret: bench}
proxy: {remoteurl: %q}
`, s3.Region, s3.Endpoint, bucket, s3.AccessKey, s3.SecretKey, addr, upstream)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p := testenv.Start(t, "distribution", []string{"OTEL_TRACES_EXPORTER=none"}, testenv.Tool(t, "registry"), "serve", config)
	p.WaitHTTP(t, "http://"+addr+"/v2/")
	return addr
}
