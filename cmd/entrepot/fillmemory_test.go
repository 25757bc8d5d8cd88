package main_test

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// The test is not parallel, since it needs the whole machine.
func TestConcurrentFillsStayWithinMemory(t *testing.T) {
	const (
		blobs  = 16
		size   = 24 << 20
		memory = 64 << 20
		base   = 100 << 20 // memory in addition to fills
	)
	w := newCluster(t)
	r := w.start(t, "ENTREPOT_SEGMENT_SIZE=8MiB", "ENTREPOT_FILL_CONNECTIONS=4", fmt.Sprintf("ENTREPOT_FILL_MEMORY=%d", memory))
	idle := r.PeakMemory(t)
	began := time.Now()
	var clients []*download
	for i := range blobs {
		clients = append(clients, r.get(t, w.blob(uint64(i), size)))
	}
	var latest time.Duration
	for _, client := range clients {
		client.headers(t)
		latest = max(latest, client.waited)
	}
	for _, client := range clients {
		client.complete(t)
	}
	took := time.Since(began)
	peak := r.PeakMemory(t)
	const mib = 1 << 20
	t.Logf("%d blobs of %d MiB with %d MiB for segments: peak RSS %.1f MiB (idle %.1f MiB), headers within %.1f s, all of it %.1f s",
		blobs, size/mib, memory/mib, float64(peak)/mib, float64(idle)/mib, latest.Seconds(), took.Seconds())
	assert.Less(t, latest, 20*time.Second, "headers of the last client")
	if os.Getenv("ENTREPOT_TEST_RACE") == "" { // the race detector needs several times as much
		assert.LessOrEqual(t, peak, int64(memory+base), "peak memory")
	}
	// A request for one byte determines the size of a blob that waits for a download slot.
	assert.InDelta(t, blobs*size, w.upstream.Counts().BlobBytes, blobs)
	w.bucket.nothingLeft(t)
}
