package main_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/entrepot-io/entrepot/infra/testenv"
)

const bucket = "entrepot"

func TestStoreUnusableAtStartIsUsedOnceRepaired(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		store      func(*testenv.S3) []string
		breakStore func(*testing.T, *testenv.S3)
		repair     func(*testing.T, *testenv.S3)
		reason     string // in /readyz
	}{
		"minio: server down":    {minioStore, stopServer, startServer, "connection refused"},
		"s3: server down":       {s3Store, stopServer, startServer, "connection refused"},
		"minio: bucket missing": {minioStore, noBucket, makeBucket, "no such bucket"},
		"s3: bucket missing":    {s3Store, noBucket, makeBucket, "no such bucket"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			upstream := testenv.StartRegistry(t, "127.0.0.2")
			path, digest := pushBlob(t, upstream, "app", 1<<20)
			server := testenv.StartMinIO(t)
			test.breakStore(t, server)
			p := start(t, append(test.store(server), "ENTREPOT_UPSTREAMS=corp="+upstream.URL())...)
			p.WaitUntil(t, "answers", func() error { return answers(p.url("/v2/"), http.StatusOK) })

			status, said, _ := p.get(t, "/readyz")
			if status != http.StatusServiceUnavailable || !strings.Contains(string(said), test.reason) {
				t.Errorf("/readyz is %d %q, want 503 and the reason, %q", status, said, test.reason)
			}
			t.Logf("%s", said)
			// A restart of the program would not help.
			if status, said, _ := p.get(t, "/healthz"); status != http.StatusOK {
				t.Errorf("/healthz is %d %q, want 200", status, said)
			}
			status, content, err := p.get(t, path)
			if status == http.StatusOK && err == nil && digestOf(content) != digest {
				t.Errorf("GET of a blob has %d bytes that are not the blob", len(content))
			}

			test.repair(t, server)
			p.WaitUntil(t, "is ready", func() error { return answers(p.url("/readyz"), http.StatusOK) })
			p.getBlob(t, path, digest)
		})
	}
}

func minioStore(s *testenv.S3) []string {
	return append(credentials(s), "ENTREPOT_STORE=minio+"+s.Endpoint+"/"+bucket)
}

func s3Store(s *testenv.S3) []string {
	return append(credentials(s), "ENTREPOT_STORE=s3://"+bucket, "AWS_ENDPOINT_URL="+s.Endpoint, "AWS_REGION="+s.Region)
}

func credentials(s *testenv.S3) []string {
	return []string{"AWS_ACCESS_KEY_ID=" + s.AccessKey, "AWS_SECRET_ACCESS_KEY=" + s.SecretKey}
}

func stopServer(t *testing.T, s *testenv.S3) {
	t.Helper()
	s.CreateBucket(t, bucket)
	s.Stop()
}

func startServer(t *testing.T, s *testenv.S3) { t.Helper(); s.Restart(t) }

func noBucket(*testing.T, *testenv.S3) {}

func makeBucket(t *testing.T, s *testenv.S3) { t.Helper(); s.CreateBucket(t, bucket) }

func answers(url string, want int) error {
	resp, err := http.Get(url)
	if err != nil {
		return err
	}
	resp.Body.Close()
	if resp.StatusCode != want {
		return fmt.Errorf("GET %s: %s", url, resp.Status)
	}
	return nil
}
