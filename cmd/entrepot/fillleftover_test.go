package main_test

import (
	"encoding/json"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestNextFillRemovesLeftOvers(t *testing.T) {
	t.Parallel()
	const size = 5*fillSegment + 77
	atOnce(t, 4, map[string]leftOver{
		"no lease": {
			segments: map[int]string{0: "OLDEPOCH", 3: "OTHEREPOCH"}, sent: size,
		},
		"expired lease without some epochs": {
			lease: true, segments: map[int]string{0: "NAMED", 1: "NAMED", 2: "OLDEPOCH", 4: "OTHEREPOCH"},
			named: map[int]string{0: "NAMED", 1: "NAMED"}, sent: size - 2*fillSegment,
		},
		"expired lease with other ETags": {
			lease: true, segments: map[int]string{0: "NAMED", 1: "NAMED"},
			named: map[int]string{0: "NAMED", 1: "NAMED"}, otherTags: true, sent: size,
		},
		"expired lease with missing segments": {
			lease: true, segments: map[int]string{1: "NAMED"},
			named: map[int]string{0: "NAMED", 1: "NAMED"}, sent: size - fillSegment,
		},
		"expired lease is malformed": {
			lease: true, garbled: true, segments: map[int]string{0: "NAMED"}, sent: size,
		},
	}, func(t *testing.T, l leftOver) {
		w := newCluster(t)
		blob := w.blob(1, size)
		l.leave(t, w, blob)
		replicas := w.replicas(t, 2)
		if l.lease {
			w.expireLease(t, blob)
		}
		clients := []*download{replicas[0].get(t, blob), replicas[1].get(t, blob)}
		for _, client := range clients {
			client.complete(t)
		}
		assert.Equal(t, l.sent, w.sent(blob), "bytes from the upstream")
		w.isWhole(t, blob)
		w.bucket.nothingLeft(t)
	})
}

// leftOver is the state of an abandoned fill in the bucket.
type leftOver struct {
	lease     bool
	garbled   bool           // the lease is not JSON
	segments  map[int]string // epochs of the stored segments, by number
	named     map[int]string // epochs of the segments that the lease names
	otherTags bool           // the lease has the ETags of other bytes
	sent      int64          // bytes that the upstream must still send
}

// leave writes the state.
func (l leftOver) leave(t *testing.T, w *cluster, b coldBlob) {
	t.Helper()
	etags := map[int]string{}
	for n, epoch := range l.segments {
		body := make([]byte, min(fillSegment, b.size()-int64(n)*fillSegment))
		_, err := io.ReadFull(io.NewSectionReader(b.content, int64(n)*fillSegment, int64(len(body))), body)
		require.NoError(t, err)
		if epoch != "NAMED" || l.otherTags { // these bytes must not get into the blob
			clear(body)
		}
		etags[n] = w.bucket.put(t, fmt.Sprintf("%s%05d.%s", b.fillPrefix(), n, epoch), body).ETag
	}
	if !l.lease {
		return
	}
	stored := []map[string]any{}
	for n, epoch := range l.named {
		etag := etags[n]
		if l.otherTags || etag == "" {
			etag = "00000000000000000000000000000000"
		}
		stored = append(stored, map[string]any{"n": n, "epoch": epoch, "etag": `"` + etag + `"`})
	}
	record, err := json.Marshal(map[string]any{
		"epoch": "LASTEPOCH", "turn": 3, "nonce": "any",
		"state": map[string]any{"size": b.size(), "segmentSize": fillSegment, "stored": stored},
	})
	require.NoError(t, err)
	if l.garbled {
		record = record[:len(record)/2]
	}
	w.bucket.put(t, b.fillPrefix()+"lease", record)
}

// expireLease waits until the lease has expired by the store's clock.
func (w *cluster) expireLease(t *testing.T, b coldBlob) {
	t.Helper()
	info, err := w.bucket.client.StatObject(t.Context(), w.bucket.name, b.fillPrefix()+"lease", minio.StatObjectOptions{})
	require.NoError(t, err)
	waitFor(t, "the lease expires", func() bool { return time.Since(info.LastModified) > leaseTTL+2*time.Second })
}
