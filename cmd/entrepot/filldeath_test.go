package main_test

import (
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const (
	dyingBlob      = 5*fillSegment + 1<<20 + 123 // six segments
	dyingSmallBlob = 3<<20 + 7
	// dyingSpeed of each connection to the upstream, in bytes a second.
	dyingSpeed = 12 << 20
	// takeOver is how long followers may take to notice a death, on a machine that is busy with the other cases.
	takeOver = 25 * time.Second
)

// deaths are the moments at which a leader is killed, and what it fills.
var deaths = map[string]death{
	"when the lease has no size":          {"lease taken:1", dyingBlob},
	"when one segment is stored":          {"segment stored:1", dyingBlob},
	"when three segments are stored":      {"segment stored:3", dyingBlob},
	"before the blob is composed":         {"before compose:1", dyingBlob},
	"when the blob is composed":           {"blob stored:1", dyingBlob},
	"before the segments are deleted":     {"before clean-up:1", dyingBlob},
	"before a small blob is stored":       {"before the blob is stored:1", dyingSmallBlob},
	"when a small blob is stored":         {"blob stored:1", dyingSmallBlob},
	"before a small blob's lease is gone": {"before clean-up:1", dyingSmallBlob},
}

type death struct {
	failpoint string
	size      int64
}

func TestAFollowerTakesOverFromALeaderThatIsKilled(t *testing.T) {
	t.Parallel()
	atOnce(t, 5, deaths, func(t *testing.T, d death) {
		w := newFillWorld(t).mortal(t)
		blob := w.blob(1, d.size)
		open := w.gate(t, dyingSpeed)
		leader := w.start(t, "ENTREPOT_TEST_FAILPOINT=kill:"+d.failpoint)
		follower := w.start(t)

		first := leader.get(t, blob)
		waitFor(t, "the leader's lease", func() bool { _, ok := w.bucket.lease(t, blob); return ok })
		if d.failpoint != "lease taken:1" { // which is before there can be headers
			first.headers(t)
		}
		client := follower.get(t, blob)
		if d.failpoint != "lease taken:1" {
			client.headers(t)
		}
		open()
		leader.dies(t)
		died := time.Now()
		flight := w.inFlight(t, blob)

		waitFor(t, "somebody goes on", func() bool { return w.isTakenOver(t, blob) })
		took := time.Since(died)
		client.complete(t)
		whole := time.Since(died)
		first.right(t)
		sent := w.sent(blob)
		t.Logf("taken over after %.1f s, complete after %.1f s; upstream sent %.2f times the blob, %d bytes twice; %d had been in flight",
			took.Seconds(), whole.Seconds(), float64(sent)/float64(d.size), sent-d.size, flight)
		assert.Less(t, took, takeOver)
		assert.LessOrEqual(t, sent, d.size+flight, "bytes from the upstream")
		w.isWhole(t, blob)
	})
}

func TestABlobWhoseLeaderWasKilledIsResumedByTheNextRequest(t *testing.T) {
	t.Parallel()
	atOnce(t, 5, deaths, func(t *testing.T, d death) {
		w := newFillWorld(t).mortal(t)
		blob := w.blob(1, d.size)
		w.throttle(dyingSpeed)
		leader := w.start(t, "ENTREPOT_TEST_FAILPOINT=kill:"+d.failpoint)
		first := leader.get(t, blob)
		leader.dies(t)
		first.right(t)
		flight := w.inFlight(t, blob)

		next := w.start(t)
		asked := time.Now()
		client := next.get(t, blob)
		client.complete(t)
		sent := w.sent(blob)
		t.Logf("headers after %.1f s, complete after %.1f s; upstream sent %.2f times the blob, %d bytes twice; %d had been in flight",
			client.waited.Seconds(), time.Since(asked).Seconds(), float64(sent)/float64(d.size), sent-d.size, flight)
		assert.LessOrEqual(t, sent, d.size+flight, "bytes from the upstream")
		w.isWhole(t, blob)
	})
}

func TestALeaderThatIsKilledWhileTheStoreComposesLeavesNoUpload(t *testing.T) {
	t.Parallel()
	w := newFillWorld(t)
	blob := w.blob(1, dyingBlob)
	var leader atomic.Pointer[replica]
	var copies atomic.Int64
	between := w.between(t, func(r *http.Request) {
		if r.Header.Get("X-Amz-Copy-Source") != "" && copies.Add(1) == 3 {
			leader.Load().Kill()
		}
	})
	leader.Store(w.start(t, "ENTREPOT_STORE=minio+"+between+"/"+w.bucket.name))
	first := leader.Load().get(t, blob)
	follower := w.start(t)
	first.headers(t)
	client := follower.get(t, blob)
	leader.Load().dies(t)
	sent := w.sent(blob)
	assert.Len(t, w.bucket.server.Uploads(t, w.bucket.name, blob.key()), 1, "what it was composing")

	client.complete(t)
	first.right(t)
	assert.Equal(t, sent, w.sent(blob), "all had been stored")
	w.bucket.nothingLeft(t)
	w.isWhole(t, blob)
}

// between is a way to the bucket on which see gets to see each request before the bucket does.
func (w *fillWorld) between(t *testing.T, see func(*http.Request)) (endpoint string) {
	t.Helper()
	target, err := url.Parse(w.bucket.server.Endpoint)
	require.NoError(t, err)
	way := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			see(r.In)
			r.SetURL(target)
			r.Out.Host = r.In.Host // which is signed
		},
		ErrorLog: log.New(io.Discard, "", 0),
	})
	t.Cleanup(way.Close)
	return way.URL
}

// dies waits until a failpoint has killed the replica.
func (r *replica) dies(t *testing.T) {
	t.Helper()
	if code := r.Wait(t, time.Minute); code != -1 {
		t.Fatalf("ended with exit code %d, not by a signal", code)
	}
}

// inFlight is how many bytes of a blob the upstream has sent that are not in the bucket now. It fails the test where
// these are more than each connection's segment under way, one that it was storing, and as much again for what the
// kernel had taken from the upstream and nobody had read.
func (w *fillWorld) inFlight(t *testing.T, b coldBlob) int64 {
	t.Helper()
	// The upstream may be at its last write to who is gone.
	waitFor(t, "the upstream's notice", func() bool {
		sent := w.sent(b)
		time.Sleep(300 * time.Millisecond)
		return w.sent(b) == sent
	})
	if w.bucket.has(t, b.key()) {
		return w.sent(b) - b.size()
	}
	flight := w.sent(b) - w.bucket.stored(t, b)
	assert.LessOrEqual(t, flight, int64(2*3*fillSegment), "bytes in flight")
	return flight
}

// isTakenOver tells whether somebody else has the lease of a blob, or the blob is there.
func (w *fillWorld) isTakenOver(t *testing.T, b coldBlob) bool {
	t.Helper()
	record, ok := w.bucket.lease(t, b)
	return (ok && record.Turn > 1) || w.bucket.has(t, b.key())
}

// isWhole waits until the blob is in the bucket, and fails the test unless it is right, with nothing half-written beside
// it. Segments and lease of a leader that died after that are without harm, and may stay.
func (w *fillWorld) isWhole(t *testing.T, b coldBlob) {
	t.Helper()
	waitFor(t, "the blob in the bucket", func() bool { return w.bucket.has(t, b.key()) })
	assert.Equal(t, 1, w.bucket.allVerified(t), "objects in the bucket")
	assert.Equal(t, []string{b.key()}, w.bucket.keys(t, "public/blobs/"))
	w.bucket.noUploads(t, b)
	w.noViolation(t)
}
