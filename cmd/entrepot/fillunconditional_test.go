package main_test

import (
	"net/http"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/entrepot-io/entrepot/infra/testenv"
	"github.com/entrepot-io/entrepot/upstream/upstreamtest"
)

func TestEachReplicaFetchesOnceWithoutConditionalWrites(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]func(*testenv.S3, http.Handler) http.Handler{
		"conditions ignored": ignoring,
		"conditions refused": refusing,
	} {
		t.Run(name, func(t *testing.T) {
			w := newCluster(t)
			index := w.upstream.Index(fillRepo, "1", 2*fillSegment+1234, 1<<20)
			want := imageBytes(index.Images[0])
			w.throttle(12 << 20)
			store := behindProxy(t, w, &quirk{matches: conditional, respond: answer})
			replicas := w.replicas(t, 2, "ENTREPOT_STORE="+store)

			pullAtOnce(t, replicas, 8)

			counts := w.upstream.Counts()
			t.Logf("upstream sent %d bytes to %d replicas for an image of %d", counts.BlobBytes, len(replicas), want)
			assert.LessOrEqual(t, counts.BlobBytes, want*int64(len(replicas)))
			assert.LessOrEqual(t, counts.Requests[upstreamtest.ManifestGet], 2*len(replicas))
			for _, r := range replicas {
				assert.Len(t, r.logged(t, "store has no conditional writes"), 1)
			}
			w.bucket.nothingLeft(t)
			assert.Equal(t, 2+1+2, w.bucket.allVerified(t), "objects in the bucket")
		})
	}
}

func TestConcurrentFillsWithoutConditionalWrites(t *testing.T) {
	t.Parallel()
	w := newCluster(t)
	blob := w.blob(1, 4*fillSegment)
	until := make(chan struct{})
	t.Cleanup(func() { closeOnce(until) })
	// The slow replica gets its first segment, and half of the next one.
	w.upstream.Faults.Set(upstreamtest.Fault{
		Kind: upstreamtest.CDNGet, Damage: upstreamtest.Stall, Skip: 1, At: fillSegment / 2, Until: until,
	})
	replicas := w.replicas(t, 2, "ENTREPOT_STORE="+behindProxy(t, w, &quirk{matches: conditional, respond: ignoring}), "ENTREPOT_FILL_CONNECTIONS=1", "ENTREPOT_FILL_MEMORY=10MiB")
	slow := replicas[0].getFrom(t, blob, 0, 64<<10)
	slow.headers(t)
	waitFor(t, "a stored segment", func() bool { return w.bucket.stored(t, blob) > 0 })
	w.upstream.Faults.Clear()
	fast := replicas[1].get(t, blob)
	fast.complete(t)
	replicas[1].Signal(t, syscall.SIGTERM) // it cleans up before it exits
	replicas[1].Wait(t, 30*time.Second)
	closeOnce(until)
	slow.pace.Store(0)
	slow.complete(t)
	replicas[0].Signal(t, syscall.SIGTERM)
	replicas[0].Wait(t, 30*time.Second)
	assert.Len(t, replicas[0].logged(t, "fill stored"), 1)
	assert.Equal(t, 2*blob.size(), w.sent(blob))
	w.bucket.nothingLeft(t)
}
