package main_test

import (
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestTerminatedLeaderHandsOverImmediately(t *testing.T) {
	t.Parallel()
	leaves, stays := (*download).leave, func(*download) {}
	atOnce(t, 3, map[string]handOver{
		"without clients":        {leaves, 4 << 20, nil},
		"clients are cut off":    {stays, 4 << 20, []string{"ENTREPOT_DRAIN_TIMEOUT=100ms"}},
		"segments take too long": {leaves, 1 << 20, nil},
	}, func(t *testing.T, h handOver) {
		w := newCluster(t)
		blob := w.blob(1, 7*fillSegment+5)
		open := w.gate(t, h.speed)
		leader, follower := w.start(t, h.env...), w.start(t)
		first := leader.get(t, blob)
		first.headers(t)
		client := follower.get(t, blob)
		client.headers(t)
		h.leadersClient(first)
		open()
		waitFor(t, "a stored segment", func() bool { return w.bucket.stored(t, blob) > 0 })

		w.throttle(killedSpeed) // for the next leader
		leader.Signal(t, syscall.SIGTERM)
		signaled := time.Now()
		leader.Wait(t, 30*time.Second)
		ended := time.Now()
		flight := w.inFlight(t, blob)
		waitFor(t, "the follower resumes", func() bool { return len(follower.logged(t, "fill resumed")) > 0 })
		resumed := follower.logged(t, "fill resumed")[0].time(t)
		client.complete(t)
		sent := w.sent(blob)
		t.Logf("ended %.1f s after SIGTERM, taken over %.1f s after that; upstream sent %.3f times the blob, %d bytes twice; %d had been in flight",
			ended.Sub(signaled).Seconds(), resumed.Sub(ended).Seconds(), float64(sent)/float64(blob.size()), sent-blob.size(), flight)
		assert.Less(t, resumed.Sub(ended), leaseTTL/2, "no lease had to expire")
		assert.LessOrEqual(t, sent, blob.size()+flight)
		first.right(t)
		w.isWhole(t, blob)
		w.bucket.nothingLeft(t)
	})
}

type handOver struct {
	leadersClient func(*download) // runs before the leader's SIGTERM
	speed         int64           // of each of the leader's connections, in bytes per second
	env           []string
}

func TestTerminatedLeaderWithClientsCompletesFill(t *testing.T) {
	t.Parallel()
	w := newCluster(t)
	blob := w.blob(1, 4*fillSegment+5)
	open := w.gate(t, 12<<20)
	leader, follower := w.start(t), w.start(t)
	first := leader.get(t, blob)
	first.headers(t)
	client := follower.get(t, blob)
	client.headers(t)
	leader.Signal(t, syscall.SIGTERM)
	leader.WaitUntil(t, "refuses connections", func() error { return refuses(leader.addr) })
	open()
	first.complete(t)
	client.complete(t)
	require.Zero(t, leader.Wait(t, 30*time.Second), "exit code")
	assert.Equal(t, blob.size(), w.sent(blob))
	w.isWhole(t, blob)
	w.bucket.nothingLeft(t)
}
