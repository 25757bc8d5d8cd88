package main_test

import (
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/infra/testenv/lambda"
)

// shortInvocation is a function timeout with which a hop waits for 7 s.
const shortInvocation = 12 * time.Second

func TestFrozenFunctionCompletesLayer(t *testing.T) {
	t.Parallel()
	for name, front := range map[string]lambda.Front{"Function URL": lambda.FunctionURL, "load balancer": lambda.LoadBalancer} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newCluster(t)
			blob := w.blob(1, 14*fillSegment+12345)
			w.throttle(2 << 20) // on each of two connections: about 6 segments per hop
			f := w.function(t, lambda.Options{Front: front, Timeout: shortInvocation})
			p := follow(f, blob.path())
			require.NoError(t, p.err)
			assert.Equal(t, blob.digest.String(), p.sum)
			count, sent := f.Counts(), w.sent(blob)
			t.Logf("%d hops, %d freezes of %d processes; upstream sent %.3f times the blob; longest answer %.1f s",
				p.hops, count.Freezes, count.Starts, float64(sent)/float64(blob.size()), count.Longest.Seconds())
			assert.GreaterOrEqual(t, p.hops, 2)
			assert.LessOrEqual(t, sent-blob.size(), int64(p.hops)*2*fillSegment, "bytes sent twice")
			assert.Less(t, count.Longest, shortInvocation)
			assert.Zero(t, count.TimedOut+count.Failed+count.Refused, "%+v", count)
			w.isWhole(t, blob)
			w.noViolation(t)
			w.bucket.nothingLeft(t)
		})
	}
}

func TestNextInvocationResumesFillOfKilledFunction(t *testing.T) {
	t.Parallel()
	w := newCluster(t)
	blob := w.blob(1, 150_000_000)
	w.throttle(killedSpeed / 2)
	f := w.function(t, lambda.Options{})
	f.EndAfter(5 * time.Second)
	resp, _ := send(t, f, http.MethodGet, blob.path())
	require.Equal(t, http.StatusBadGateway, resp.StatusCode, "the platform's own response")
	require.Equal(t, 1, f.Counts().TimedOut)
	flight := w.inFlight(t, blob)
	require.Positive(t, w.bucket.stored(t, blob), "stored before the kill")

	f.EndAfter(0)
	p := follow(f, blob.path())
	require.NoError(t, p.err)
	assert.Equal(t, blob.digest.String(), p.sum)
	count, sent := f.Counts(), w.sent(blob)
	t.Logf("%d processes, %d hops; upstream sent %.3f times the blob, %d bytes twice; %d had been in flight",
		count.Starts, p.hops, float64(sent)/float64(blob.size()), sent-blob.size(), flight)
	assert.LessOrEqual(t, sent-blob.size(), flight+int64(p.hops)*2*fillSegment)
	assert.Equal(t, 1, count.TimedOut)
	w.isWhole(t, blob)
	w.noViolation(t)
}

func TestScaledFunctionFetchesEachLayerOnce(t *testing.T) {
	t.Parallel()
	w := newCluster(t)
	const clients = 3 // of each blob
	blobs := []coldBlob{w.blob(1, 3*fillSegment), w.blob(2, 5*fillSegment+1), w.blob(3, 1<<20)}
	w.throttle(3 << 20)
	f := w.function(t, lambda.Options{Timeout: shortInvocation})
	var all sync.WaitGroup
	for _, blob := range blobs {
		for range clients {
			all.Go(func() {
				p := follow(f, blob.path())
				assert.NoError(t, p.err)
				assert.Equal(t, blob.digest.String(), p.sum)
			})
		}
	}
	all.Wait()
	count := f.Counts()
	t.Logf("%+v", count)
	assert.GreaterOrEqual(t, count.Starts, clients*len(blobs))
	assert.Zero(t, count.TimedOut+count.Failed+count.Refused)
	for _, blob := range blobs {
		assert.LessOrEqual(t, w.sent(blob)-blob.size(), int64(2*fillSegment))
	}
	assert.Equal(t, len(blobs), w.bucket.allVerified(t))
	w.noViolation(t)
	w.bucket.nothingLeft(t)
}

func TestFunctionIsIdleAfterResponse(t *testing.T) {
	t.Parallel()
	w := newCluster(t)
	blob := w.blob(1, 16*fillSegment) // more than a hop waits for
	image := w.upstream.Image(fillRepo, "1", 1000)
	w.throttle(3 << 20)
	var requests atomic.Int64
	between := w.between(t, func(*http.Request) { requests.Add(1) })
	f := w.function(t, lambda.Options{Timeout: shortInvocation, Unfrozen: true},
		"ENTREPOT_STORE=minio+"+between+"/"+w.bucket.name, "ENTREPOT_TAG_TTL=0s", "ENTREPOT_PRESENCE_TTL=1s")
	idle := func(after string) {
		t.Helper()
		time.Sleep(100 * time.Millisecond) // bytes in the kernel's buffers still arrive
		before, sent := requests.Load(), w.sent(blob)
		upstreamRequests := w.upstream.Counts().Requests
		time.Sleep(2 * time.Second)
		assert.Equal(t, before, requests.Load(), "requests to the bucket after %s", after)
		assert.Equal(t, sent, w.sent(blob), "bytes from the upstream after %s", after)
		assert.Equal(t, upstreamRequests, w.upstream.Counts().Requests, "requests to the upstream after %s", after)
	}
	send(t, f, http.MethodGet, "/v2/library/app/manifests/1")
	assert.NotEmpty(t, w.bucket.keys(t, "access/"), "markers of use before the response")
	idle("a manifest")
	send(t, f, http.MethodGet, "/v2/library/app/manifests/1") // a revalidation
	idle("a revalidation")
	resp, _ := send(t, f, http.MethodGet, blob.path())
	require.Contains(t, resp.Header.Get("Location"), "hop=1")
	record, ok := w.bucket.lease(t, blob)
	require.True(t, ok)
	assert.True(t, record.Released, "the lease is released")
	idle("a hop")
	layer := "/v2/library/app/blobs/" + image.Layers[0].Digest.String()
	for range 3 {
		resp, _ = send(t, f, http.MethodGet, layer)
		require.Equal(t, http.StatusTemporaryRedirect, resp.StatusCode)
		idle("a redirect")
	}
}

func TestThawedFunctionDropsOldConnections(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		aws    bool // AWS SDK instead of minio-go
		frozen time.Duration
	}{
		"minio-go, connections reset": {false, 0}, "minio-go, connections silent": {false, 4 * time.Second},
		"AWS SDK, connections reset": {true, 0}, "AWS SDK, connections silent": {true, 4 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newCluster(t)
			cut, frozen := newBreakableProxy(t, strings.TrimPrefix(w.bucket.server.Endpoint, "http://")), test.frozen
			store := []string{"ENTREPOT_STORE=minio+http://" + cut.addr + "/" + w.bucket.name}
			if test.aws {
				store = []string{"ENTREPOT_STORE=s3://" + w.bucket.name, "AWS_ENDPOINT_URL=http://" + cut.addr, "AWS_REGION=" + w.bucket.server.Region}
			}
			f := w.function(t, lambda.Options{}, store...)
			for seed := range uint64(4) {
				blob := w.blob(seed, 100_000)
				p := follow(f, blob.path())
				require.NoError(t, p.err)
				assert.Equal(t, blob.digest.String(), p.sum)
				waitFor(t, "the freeze", func() bool { c := f.Counts(); return c.Freezes == c.Invocations })
				cut.cut(frozen == 0) // after a long freeze, middleboxes have silently dropped the connections
				time.Sleep(frozen)
			}
			count := f.Counts()
			assert.Zero(t, count.TimedOut+count.Failed, "%+v", count)
			assert.Less(t, count.Longest, shortInvocation, "no wait for a dead connection")
		})
	}
}
