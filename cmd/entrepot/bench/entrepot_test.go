//go:build bench

package bench_test

import (
	"testing"

	"github.com/entrepot-io/entrepot/infra/testenv"
)

// startEntrepot starts a replica on a bucket, with default settings except those in env. It returns the process and its
// host:port.
func startEntrepot(t *testing.T, s3 *testenv.S3, bucket, upstream string, env ...string) (*testenv.Process, string) {
	t.Helper()
	addr := testenv.FreeAddr(t, "127.0.0.1")
	p := testenv.Start(t, "entrepot", append(entrepotEnv(s3, bucket, upstream)(addr), env...), testenv.Program(t), "serve")
	p.WaitHTTP(t, "http://"+addr+"/readyz")
	return p, addr
}

// entrepotEnv returns a function that returns a replica's settings for an address.
func entrepotEnv(s3 *testenv.S3, bucket, upstream string) func(addr string) []string {
	return func(addr string) []string {
		return []string{
			"ENTREPOT_LISTEN=" + addr,
			"ENTREPOT_STORE=minio+http://" + s3.Addr + "/" + bucket,
			"ENTREPOT_UPSTREAMS=docker.io=" + upstream,
			"AWS_ACCESS_KEY_ID=" + s3.AccessKey, "AWS_SECRET_ACCESS_KEY=" + s3.SecretKey,
		}
	}
}
