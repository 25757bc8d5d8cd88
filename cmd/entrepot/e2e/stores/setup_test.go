//go:build e2e

package stores_test

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/infra/testenv"
	"github.com/entrepot-io/entrepot/upstream/upstreamtest"
)

const (
	// segment is S3's minimum size of an upload part, in bytes.
	segment = 5 << 20
	// connections is the number of upstream connections per blob. pace limits each, in bytes per second, so that a large
	// layer takes longer than the 5 s between two renewals of a lease.
	connections, pace = 2, 1500 << 10

	repository = "library/app"
)

// libraries has the settings that choose each S3 client library.
var libraries = map[string]func(server *testenv.S3, bucket string) []string{
	"aws": func(server *testenv.S3, bucket string) []string {
		return []string{"ENTREPOT_STORE=s3://" + bucket, "AWS_ENDPOINT_URL_S3=" + server.Endpoint, "AWS_REGION=" + server.Region}
	},
	"minio-go": func(server *testenv.S3, bucket string) []string {
		return []string{"ENTREPOT_STORE=minio+" + server.Endpoint + "/" + bucket}
	},
}

// A cluster is an upstream, a bucket, and the settings of the replicas between them.
type cluster struct {
	upstream *upstreamtest.Registry
	bucket   bucket
	public   string // the bucket's endpoint in redirects: a host name, since crane follows none to a private address
	env      []string
}

func newCluster(t *testing.T, server *testenv.S3, library string) *cluster {
	t.Helper()
	b := bucket{server: server, client: server.Client(t), name: "stores-" + strings.ToLower(rand.Text())}
	server.CreateBucket(t, b.name)
	// SeaweedFS may take seconds to store a bucket's first object, longer than a replica's readiness check waits.
	_, err := b.client.PutObject(t.Context(), b.name, "first", strings.NewReader("x"), 1, minio.PutObjectOptions{DisableContentSha256: true})
	require.NoError(t, err)
	public := strings.Replace(server.Endpoint, "127.0.0.1", "localhost", 1)
	c := &cluster{
		public:   public,
		upstream: upstreamtest.Start(t, upstreamtest.Options{Auth: true, CDN: true}),
		bucket:   b,
		env:      append(server.Environment(t, b.name), append(libraries[library](server, b.name), "ENTREPOT_STORE_PUBLIC_ENDPOINT="+public)...),
	}
	c.upstream.Faults.Set(upstreamtest.Fault{Kind: upstreamtest.CDNGet, BytesPerSecond: pace})
	return c
}

// A replica is a running entrepot.
type replica struct {
	*testenv.Process
	addr string
}

// start starts n replicas and waits until they are ready.
func (c *cluster) start(t *testing.T, n int) []*replica {
	t.Helper()
	var all []*replica
	for range n {
		r := &replica{addr: testenv.FreeAddr(t, "127.0.0.1")}
		r.Process = testenv.StartProgram(t, append(c.env,
			"ENTREPOT_LISTEN="+r.addr,
			"ENTREPOT_LOG_FORMAT=json",
			"ENTREPOT_UPSTREAMS=docker.io="+c.upstream.URL(),
			fmt.Sprintf("ENTREPOT_SEGMENT_SIZE=%d", segment),
			fmt.Sprintf("ENTREPOT_FILL_CONNECTIONS=%d", connections),
		)...)
		all = append(all, r)
	}
	for _, r := range all {
		r.WaitUntil(t, "is ready", func() error {
			resp, err := http.Get("http://" + r.addr + "/readyz")
			if err != nil {
				return err
			}
			defer resp.Body.Close()
			if resp.StatusCode != http.StatusOK {
				return fmt.Errorf("/readyz: %s", resp.Status)
			}
			return nil
		})
	}
	return all
}

// waitFor polls until done returns true, and fails the test after atMost.
func waitFor(t *testing.T, what string, atMost time.Duration, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(atMost); !done(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("timed out after %s waiting for %s", atMost, what)
		}
	}
}
