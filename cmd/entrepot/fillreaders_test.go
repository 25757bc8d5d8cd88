package main_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestReadersDoNotDisturbFillOrEachOther(t *testing.T) {
	t.Parallel()
	w := newCluster(t)
	const size = 9*fillSegment + 12345
	blob := w.blob(1, size)
	open := w.gate(t, 4<<20)
	replicas := w.replicas(t, 2)
	plain := replicas[0].get(t, blob)
	plain.headers(t)
	var slow, ranged, leaving, early []*download
	for _, r := range replicas {
		slow = append(slow, r.getFrom(t, blob, 0, 10<<10))
		ranged = append(ranged, r.getFrom(t, blob, 1, 0), r.getFrom(t, blob, 5*fillSegment-1, 0), r.getFrom(t, blob, size-1, 0))
		leaving = append(leaving, r.get(t, blob))
		// Like containerd's parallel fetch of a layer, which closes each range at the beginning of the next one.
		for offset := int64(1); offset < size; offset += 2 * fillSegment {
			early = append(early, r.getFrom(t, blob, offset, 0))
		}
	}
	for _, d := range append(append(append([]*download{}, slow...), ranged...), append(leaving, early...)...) {
		d.headers(t)
	}
	open()
	for _, d := range leaving {
		d.has(t, 1<<20)
		d.leave()
		d.right(t)
	}
	for _, d := range early {
		d.has(t, min(2*fillSegment, size-d.offset))
		d.leave()
		d.right(t)
	}
	for _, d := range ranged {
		d.complete(t)
	}
	plain.complete(t)
	w.isWhole(t, blob)
	for _, d := range slow {
		t.Logf("a client at 10 KB/s has %d bytes when the blob is stored", d.received.Load())
		assert.False(t, d.isOver())
		assert.Less(t, d.received.Load(), int64(fillSegment), "bytes at a slow client when the blob is stored")
		d.pace.Store(0)
		d.complete(t)
	}
	assert.Equal(t, int64(size), w.sent(blob))
	w.noViolation(t)
	w.bucket.nothingLeft(t)
}

func TestSlowReadersDoNotSlowFill(t *testing.T) {
	t.Parallel()
	w := newCluster(t)
	blob := w.blob(1, 8*fillSegment)
	// Memory for few segments: readers must not hold them.
	r := w.start(t, "ENTREPOT_FILL_MEMORY=15MiB")
	open := w.gate(t, 0)
	var slow []*download
	for range 30 {
		slow = append(slow, r.getFrom(t, blob, 0, 1<<10))
	}
	for _, d := range slow {
		d.headers(t)
	}
	open()
	w.isWhole(t, blob)
	for _, d := range slow {
		assert.False(t, d.isOver())
	}
	slow[0].pace.Store(0)
	slow[0].complete(t)
	assert.Equal(t, blob.size(), w.sent(blob))
}
