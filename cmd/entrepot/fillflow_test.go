package main_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/upstream/upstreamtest"
)

func TestHeadersArriveBeforeFirstByte(t *testing.T) {
	t.Parallel()
	for name, size := range map[string]int64{"many segments": 4*fillSegment + 1, "one segment": 3 << 20} {
		t.Run(name, func(t *testing.T) {
			w := newCluster(t)
			blob := w.blob(1, size)
			open := w.gate(t, 0)
			var clients []*download
			for _, r := range w.replicas(t, 3) {
				client := r.get(t, blob)
				assert.Equal(t, size, client.headers(t).ContentLength)
				clients = append(clients, client)
			}
			require.Zero(t, w.sent(blob), "bytes from the upstream before all clients had headers")
			for i, client := range clients {
				t.Logf("client %d had its headers after %s", i, client.waited)
			}
			open()
			for _, client := range clients {
				client.complete(t)
			}
			assert.Equal(t, size, w.sent(blob))
			w.noViolation(t)
			w.bucket.nothingLeft(t)
		})
	}
}

func TestBytesReachClientsOfAllReplicasDuringFill(t *testing.T) {
	t.Parallel()
	w := newCluster(t)
	blob := w.blob(1, 8*fillSegment)
	hold := make(chan struct{})
	t.Cleanup(func() { closeOnce(hold) })
	// The upstream stalls in the middle of the second segment.
	w.upstream.Faults.Set(upstreamtest.Fault{
		Kind: upstreamtest.CDNGet, Damage: upstreamtest.Stall, Skip: 1, At: fillSegment/2 + 100, Until: hold,
	})
	replicas := w.replicas(t, 2, "ENTREPOT_FILL_CONNECTIONS=1")
	leaders := replicas[0].get(t, blob)
	leaders.headers(t)
	followers := replicas[1].get(t, blob)

	leaders.has(t, fillSegment*3/2+100)
	followers.has(t, fillSegment)
	assert.Less(t, w.sent(blob), blob.size(), "sent by the upstream")
	assert.False(t, w.bucket.has(t, blob.key()), "an incomplete blob is visible")
	t.Logf("the leader's client had its headers after %s, the follower's after %s", leaders.waited, followers.waited)

	closeOnce(hold)
	leaders.complete(t)
	followers.complete(t)
	assert.Equal(t, blob.size(), w.sent(blob))
	w.bucket.nothingLeft(t)
}

// closeOnce closes a channel unless it is closed. It is not safe for concurrent use.
func closeOnce(c chan struct{}) {
	select {
	case <-c:
	default:
		close(c)
	}
}
