package main_test

import (
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/upstream/upstreamtest"
)

// The test is not parallel, since it needs the whole machine.
func TestAbandonedFillsMakeWay(t *testing.T) {
	const (
		blobs  = 300
		claims = 1_000_000_000_000
		memory = 256 << 20
		base   = 100 << 20 // memory in addition to fills
	)
	w := newCluster(t)
	r := w.start(t, "ENTREPOT_SEGMENT_SIZE=8MiB", "ENTREPOT_FILL_CONNECTIONS=4")
	var clients []*download
	for i := range blobs {
		b := w.blob(uint64(i), 1000)
		w.upstream.Faults.Add(upstreamtest.Fault{Digest: b.digest, Damage: upstreamtest.Pad, At: claims, BytesPerSecond: 256 << 10})
		clients = append(clients, r.get(t, b))
	}
	time.Sleep(time.Second) // the time that each of them waits
	for _, client := range clients {
		client.leave()
	}
	began := time.Now()
	honest := r.get(t, w.blob(1000, 20<<20))
	honest.complete(t)
	peak := r.PeakMemory(t)
	t.Logf("an honest blob took %.1f s, peak RSS %.1f MiB", time.Since(began).Seconds(), float64(peak)/(1<<20))
	if os.Getenv("ENTREPOT_TEST_RACE") == "" {
		assert.LessOrEqual(t, peak, int64(memory+base), "peak memory")
	}
	assert.Positive(t, r.metric(t, "entrepot_fills_parked_total"))
}

func TestBlobsArriveFromBreakingUpstreamWithoutRanges(t *testing.T) {
	const blobs, size = 24, 12 << 20
	w := newCluster(t)
	r := w.start(t, "ENTREPOT_SEGMENT_SIZE=8MiB", "ENTREPOT_FILL_MEMORY=32MiB", "ENTREPOT_UPSTREAM_CONNECTIONS=4", "ENTREPOT_FILL_CONNECTIONS=4")
	var clients []*download
	for i := range blobs {
		b := w.blob(uint64(i), size)
		// Three connections break, in the first and in the second segment, and ranges are ignored.
		for _, at := range []int64{3 << 20, 7 << 20, 10 << 20} {
			w.upstream.Faults.Add(upstreamtest.Fault{Kind: upstreamtest.CDNGet, Digest: b.digest, Times: 1, IgnoreRange: true, Damage: upstreamtest.Cut, At: at})
		}
		clients = append(clients, r.getFrom(t, b, 0, int64(i%3)<<20)) // some read slowly
	}
	w.upstream.Faults.Add(upstreamtest.Fault{Kind: upstreamtest.CDNGet, IgnoreRange: true})
	clients[0].leave() // some disconnect
	clients[1].leave()
	for _, client := range clients[2:] {
		client.complete(t)
	}
}

func TestImpossibleSizesRefused(t *testing.T) {
	t.Parallel()
	w := newCluster(t)
	r := w.start(t, "ENTREPOT_SEGMENT_SIZE=5MiB", "ENTREPOT_FILL_MEMORY=32MiB", "ENTREPOT_MANIFEST_CACHE=16MiB")
	for i, c := range []struct {
		claims string
		status int
		reason string
	}{
		{"4611686018427387904", http.StatusBadGateway, "5 TiB"},
		{"9223372036854775807", http.StatusBadGateway, "5 TiB"},
		{"40000000000000", http.StatusBadGateway, "5 TiB"},
		{"200000000000", http.StatusNotImplemented, "ENTREPOT_FILL_MEMORY"},
	} {
		t.Run(c.claims, func(t *testing.T) {
			b := w.blob(uint64(i), 1000)
			w.upstream.Faults.Set(upstreamtest.Fault{Kind: upstreamtest.CDNGet, Header: http.Header{"Content-Range": {"bytes 0-999/" + c.claims}}})
			status, body, err := r.program.get(t, b.path())
			require.NoError(t, err)
			assert.Equal(t, c.status, status, "%s", body)
			assert.Contains(t, string(body), c.reason)
			w.upstream.Faults.Set(upstreamtest.Fault{Kind: upstreamtest.CDNGet, IgnoreRange: true, Header: http.Header{"Content-Length": {c.claims}}})
			status, body, err = r.program.get(t, b.path())
			require.NoError(t, err)
			assert.Equal(t, c.status, status, "%s", body)
			w.upstream.Faults.Set(upstreamtest.Fault{Kind: upstreamtest.CDNGet, Header: http.Header{"Content-Range": {"bytes 0-0/" + c.claims}}})
			if c.status == http.StatusBadGateway {
				assert.Equal(t, c.status, r.status(t, http.MethodHead, b.path()))
			}
			w.upstream.Faults.Clear()
			r.get(t, b).complete(t) // the false size is not remembered
		})
	}
	w.bucket.nothingLeft(t)
	r.staysSmall(t)
	require.NotContains(t, r.Output(t), "panic")
}
