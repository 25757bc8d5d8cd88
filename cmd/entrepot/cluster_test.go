package main_test

import (
	"crypto/rand"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/infra/testenv"
	"github.com/entrepot-io/entrepot/upstream/upstreamtest"
)

const (
	// fillSegment is the segment size of the replicas in tests, in bytes: S3's minimum for a part.
	fillSegment = 5 << 20
	// leaseTTL is how long a lease is valid after its last write.
	leaseTTL = 10 * time.Second
	// fillRepo is the repository of all blobs at the upstream.
	fillRepo = "library/app"
)

// cluster is an upstream like Docker Hub, a bucket, and any number of replicas.
type cluster struct {
	upstream *upstreamtest.Registry
	bucket   fillBucket
	store    []string // the replicas' settings of the bucket
	program  string
}

var shared struct {
	once   sync.Once
	minio  *testenv.S3
	bucket sync.Once
}

// sharedMinIO returns the server that all tests share. Most tests have a bucket of their own.
func sharedMinIO(t *testing.T) *testenv.S3 {
	t.Helper()
	shared.once.Do(func() { shared.minio = testenv.StartMinIO(testenv.Lasting(t)) })
	if shared.minio == nil {
		t.Fatal("MinIO did not start")
	}
	return shared.minio
}

// sharedBucket returns the shared server with the bucket that minioStore and s3Store name.
func sharedBucket(t *testing.T) *testenv.S3 {
	t.Helper()
	server := sharedMinIO(t)
	shared.bucket.Do(func() { server.CreateBucket(t, bucket) })
	return server
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	return newClusterOn(t, sharedMinIO(t))
}

// newClusterOn is newCluster for a server of the test's own, which the test may stop.
func newClusterOn(t *testing.T, server *testenv.S3) *cluster {
	t.Helper()
	bucket := newFillBucket(t, server)
	return &cluster{
		upstream: upstreamtest.Start(t, upstreamtest.Options{Auth: true, CDN: true}),
		bucket:   bucket,
		store:    append(server.Environment(t, bucket.name), "ENTREPOT_STORE=minio+"+server.Endpoint+"/"+bucket.name),
		program:  testenv.Program(t),
	}
}

// withFailpoints makes replicas start as a build with failpoints.
func (w *cluster) withFailpoints(t *testing.T) *cluster {
	t.Helper()
	w.program = testenv.ProgramWith(t, "failpoints")
	return w
}

// replica is a running replica.
type replica struct {
	program
	admin string
}

// start starts a replica on free ports and waits until it is ready.
func (w *cluster) start(t *testing.T, env ...string) *replica {
	t.Helper()
	r := w.begin(t, env...)
	r.WaitHTTP(t, r.url("/readyz"))
	return r
}

// begin is start without the wait.
func (w *cluster) begin(t *testing.T, env ...string) *replica {
	t.Helper()
	return w.beginBy(t, testenv.StartServe, env...)
}

// beginBy is begin with a function that starts the program at a path.
func (w *cluster) beginBy(t *testing.T, startServe func(t testing.TB, path string, env ...string) *testenv.Process, env ...string) *replica {
	t.Helper()
	addr, admin := testenv.FreeAddr(t, "127.0.0.1"), testenv.FreeAddr(t, "127.0.0.1")
	all := append([]string{
		"ENTREPOT_LISTEN=" + addr,
		"ENTREPOT_ADMIN_LISTEN=" + admin,
		"ENTREPOT_LOG_FORMAT=json",
		"ENTREPOT_UPSTREAMS=docker.io=" + w.upstream.URL(),
		fmt.Sprintf("ENTREPOT_SEGMENT_SIZE=%d", fillSegment),
		"ENTREPOT_FILL_CONNECTIONS=2",
	}, w.store...)
	return &replica{program{startServe(t, w.program, append(all, env...)...), addr}, admin}
}

// replicas starts n replicas and waits until they are ready.
func (w *cluster) replicas(t *testing.T, n int, env ...string) []*replica {
	t.Helper()
	var all []*replica
	for range n {
		all = append(all, w.begin(t, env...))
	}
	for _, r := range all {
		r.WaitHTTP(t, r.url("/readyz"))
	}
	return all
}

// throttle limits each of the upstream's responses with blob bytes to bytesPerSecond.
func (w *cluster) throttle(bytesPerSecond int64) {
	w.upstream.Faults.Set(upstreamtest.Fault{Kind: upstreamtest.CDNGet, BytesPerSecond: bytesPerSecond})
}

// gate makes the upstream send the headers of blobs but no bytes until open is called, and then limits each response to
// bytesPerSecond; 0 means no limit.
func (w *cluster) gate(t *testing.T, bytesPerSecond int64) (open func()) {
	t.Helper()
	until := make(chan struct{})
	open = func() { closeOnce(until) }
	t.Cleanup(open)
	w.upstream.Faults.Set(upstreamtest.Fault{
		Kind: upstreamtest.CDNGet, BytesPerSecond: bytesPerSecond, Damage: upstreamtest.Stall, Until: until,
	})
	return open
}

// sent returns how many bytes of a blob the upstream has sent.
func (w *cluster) sent(b coldBlob) int64 { return w.upstream.Counts().BytesByDigest[b.digest] }

// noViolation fails the test if the upstream got requests that a well-behaved client would not send.
func (w *cluster) noViolation(t *testing.T) {
	t.Helper()
	require.Empty(t, w.upstream.Counts().Violations)
}

// waitFor polls done until it returns true. It fails the test after two minutes. It polls less often the longer it waits,
// since most polls are requests to the bucket, which take time from other tests.
func waitFor(t *testing.T, what string, done func() bool) {
	t.Helper()
	for began := time.Now(); !done(); {
		waited := time.Since(began)
		if waited > 2*time.Minute {
			t.Fatalf("not within two minutes: %s", what)
		}
		time.Sleep(min(max(10*time.Millisecond, waited/20), 100*time.Millisecond))
	}
}

// atOnce runs subtests concurrently, width of them regardless of -parallel: most of their time they wait for leases to
// expire.
func atOnce[C any](t *testing.T, width int, cases map[string]C, run func(*testing.T, C)) {
	t.Helper()
	slots := make(chan struct{}, width)
	var wg sync.WaitGroup
	for name, c := range cases {
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			t.Run(name, func(t *testing.T) { run(t, c) })
		})
	}
	wg.Wait()
}

func bucketName() string { return "fill-" + strings.ToLower(rand.Text()) }

// digestOfReader returns the digest of all bytes in r.
func digestOfReader(t *testing.T, r io.Reader) string {
	t.Helper()
	sum, err := hashOf(r)
	require.NoError(t, err)
	return sum
}
