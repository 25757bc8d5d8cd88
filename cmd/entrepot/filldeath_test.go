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
	killedBlob      = 5*fillSegment + 1<<20 + 123 // six segments
	killedSmallBlob = 3<<20 + 7
	// killedSpeed is the speed of each connection to the upstream, in bytes per second.
	killedSpeed = 12 << 20
	// takeOver bounds the time in which followers take over, on a machine that is busy with other cases.
	takeOver = 25 * time.Second
)

// deaths are the failpoints at which a leader is killed, with the size of the blob it fills.
var deaths = map[string]death{
	"when the lease has no size":          {"lease taken:1", killedBlob},
	"when one segment is stored":          {"segment stored:1", killedBlob},
	"when three segments are stored":      {"segment stored:3", killedBlob},
	"before the blob is composed":         {"before compose:1", killedBlob},
	"when the blob is composed":           {"blob stored:1", killedBlob},
	"before the segments are deleted":     {"before clean-up:1", killedBlob},
	"before a small blob is stored":       {"before the blob is stored:1", killedSmallBlob},
	"when a small blob is stored":         {"blob stored:1", killedSmallBlob},
	"before a small blob's lease is gone": {"before clean-up:1", killedSmallBlob},
}

type death struct {
	failpoint string
	size      int64
}

func TestFollowerTakesOverFromKilledLeader(t *testing.T) {
	t.Parallel()
	atOnce(t, 5, deaths, func(t *testing.T, d death) {
		w := newCluster(t).withFailpoints(t)
		blob := w.blob(1, d.size)
		open := w.gate(t, killedSpeed)
		leader := w.start(t, "ENTREPOT_TEST_FAILPOINT=kill:"+d.failpoint)
		follower := w.start(t)

		first := leader.get(t, blob)
		waitFor(t, "the leader's lease", func() bool { _, ok := w.bucket.lease(t, blob); return ok })
		if d.failpoint != "lease taken:1" { // before the leader knows the headers
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

		waitFor(t, "takeover", func() bool { return w.isTakenOver(t, blob) })
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

func TestNextRequestResumesFillOfKilledLeader(t *testing.T) {
	t.Parallel()
	atOnce(t, 5, deaths, func(t *testing.T, d death) {
		w := newCluster(t).withFailpoints(t)
		blob := w.blob(1, d.size)
		w.throttle(killedSpeed)
		leader := w.start(t, "ENTREPOT_TEST_FAILPOINT=kill:"+d.failpoint)
		first := leader.get(t, blob)
		leader.dies(t)
		first.right(t)
		flight := w.inFlight(t, blob)

		next := w.start(t)
		requested := time.Now()
		client := next.get(t, blob)
		client.complete(t)
		sent := w.sent(blob)
		t.Logf("headers after %.1f s, complete after %.1f s; upstream sent %.2f times the blob, %d bytes twice; %d had been in flight",
			client.waited.Seconds(), time.Since(requested).Seconds(), float64(sent)/float64(d.size), sent-d.size, flight)
		assert.LessOrEqual(t, sent, d.size+flight, "bytes from the upstream")
		w.isWhole(t, blob)
	})
}

func TestLeaderKilledDuringComposeLeavesNoUpload(t *testing.T) {
	t.Parallel()
	w := newCluster(t)
	blob := w.blob(1, killedBlob)
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
	assert.Len(t, w.bucket.server.Uploads(t, w.bucket.name, blob.key()), 1, "the leader's upload")

	client.complete(t)
	first.right(t)
	assert.Equal(t, sent, w.sent(blob), "all segments had been stored")
	w.bucket.nothingLeft(t)
	w.isWhole(t, blob)
}

// between returns the endpoint of a proxy that calls see before it forwards a request to the bucket.
func (w *cluster) between(t *testing.T, see func(*http.Request)) (endpoint string) {
	t.Helper()
	target, err := url.Parse(w.bucket.server.Endpoint)
	require.NoError(t, err)
	proxy := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			see(r.In)
			r.SetURL(target)
			r.Out.Host = r.In.Host // the signature covers it
		},
		ErrorLog: log.New(io.Discard, "", 0),
	})
	t.Cleanup(proxy.Close)
	return proxy.URL
}

// dies waits until a failpoint has killed the replica.
func (r *replica) dies(t *testing.T) {
	t.Helper()
	if code := r.Wait(t, time.Minute); code != -1 {
		t.Fatalf("ended with exit code %d, not by a signal", code)
	}
}

// inFlight returns how many bytes of a blob the upstream has sent that are not in the bucket. It fails the test if they are
// more than a segment per connection, a segment being stored, and as much again in the kernel's buffers.
func (w *cluster) inFlight(t *testing.T, b coldBlob) int64 {
	t.Helper()
	// The upstream may still be writing to the killed leader.
	waitFor(t, "end of the upstream's writes", func() bool {
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

// isTakenOver reports whether another replica has taken the lease of a blob, or the blob is stored.
func (w *cluster) isTakenOver(t *testing.T, b coldBlob) bool {
	t.Helper()
	record, ok := w.bucket.lease(t, b)
	return (ok && record.Turn > 1) || w.bucket.has(t, b.key())
}

// isWhole waits until the blob is in the bucket, and fails the test unless it is correct and the only blob, without
// unfinished uploads. Segments and the lease of a killed leader may stay.
func (w *cluster) isWhole(t *testing.T, b coldBlob) {
	t.Helper()
	waitFor(t, "the blob in the bucket", func() bool { return w.bucket.has(t, b.key()) })
	assert.Equal(t, 1, w.bucket.allVerified(t), "objects in the bucket")
	assert.Equal(t, []string{b.key()}, w.bucket.keys(t, "public/blobs/"))
	w.bucket.noUploads(t, b)
	w.noViolation(t)
}
