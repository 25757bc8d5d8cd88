package main_test

import (
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/entrepot-io/entrepot/upstream/upstreamtest"
)

func TestPausedLeaderYieldsLostLease(t *testing.T) {
	t.Parallel()
	const large, small = 5*fillSegment + 99, 3 << 20
	atOnce(t, 5, map[string]pause{
		"blob stored by another":                     {failpoint: "segment stored:1", size: large},
		"blob stored by another before compose":      {failpoint: "before compose:1", size: large, verified: true},
		"another is filling":                         {failpoint: "segment stored:2", size: large, filling: true},
		"another is filling, paused before the size": {failpoint: "lease taken:1", size: large, filling: true},
		"small blob stored by another":               {failpoint: "before the blob is stored:1", size: small, verified: true},
	}, func(t *testing.T, p pause) {
		w := newCluster(t).withFailpoints(t)
		blob := w.blob(1, p.size)
		open := p.start(t, w)
		paused := w.start(t, "ENTREPOT_TEST_FAILPOINT=stop:"+p.failpoint)
		other := w.start(t)
		first := paused.get(t, blob)
		waitFor(t, "the lease", func() bool { _, ok := w.bucket.lease(t, blob); return ok })
		client := other.get(t, blob)
		if p.failpoint != "lease taken:1" {
			client.headers(t)
		}
		open()
		waitFor(t, "the pause", func() bool { return strings.Contains(paused.Output(t), "failpoint: stop") })

		release := p.resume(t, w)
		waitFor(t, "takeover", func() bool { return w.isTakenOver(t, blob) })
		if p.filling {
			assert.False(t, w.bucket.has(t, blob.key()), "blob stored too early")
		} else {
			client.complete(t)
			waitFor(t, "the other's clean-up", func() bool { _, ok := w.bucket.lease(t, blob); return !ok })
		}
		paused.Signal(t, syscall.SIGCONT)
		if p.size != small {
			waitFor(t, "loss of the lease", func() bool { return len(paused.logged(t, "lease lost")) > 0 })
		}
		if p.verified {
			first.complete(t)
		}
		first.right(t)
		release()
		client.complete(t)
		t.Logf("upstream sent %.2f times the blob; the paused replica's client got %d bytes of %d (%v)",
			float64(w.sent(blob))/float64(p.size), first.received.Load(), p.size, first.err)
		w.isWhole(t, blob)
		w.bucket.nothingLeft(t)

		w.upstream.Faults.Clear()
		paused.get(t, blob).complete(t)
		next := w.blob(2, 2*fillSegment)
		paused.get(t, next).complete(t)
		assert.Equal(t, next.size(), w.sent(next))
		w.bucket.nothingLeft(t)
	})
}

func TestClientOfPausedLeaderNeverGetsMixedAttempts(t *testing.T) {
	t.Parallel()
	atOnce(t, 2, map[string]int64{"large blob": 4 * fillSegment, "small blob": 4 << 20}, func(t *testing.T, size int64) {
		w := newCluster(t)
		blob := w.blob(1, size)
		w.upstream.Faults.Set(upstreamtest.Fault{Kind: upstreamtest.CDNGet, BytesPerSecond: 2 << 20, Damage: upstreamtest.Corrupt, At: 10})
		paused, other := w.start(t), w.start(t)
		first := paused.get(t, blob)
		first.has(t, 1<<20)
		paused.Signal(t, syscall.SIGSTOP)
		w.upstream.Faults.Clear()
		other.get(t, blob).complete(t)
		w.isWhole(t, blob)
		paused.Signal(t, syscall.SIGCONT)
		first.incomplete(t)
		paused.get(t, blob).complete(t)
		w.isWhole(t, blob)
		w.bucket.nothingLeft(t)
	})
}

type pause struct {
	failpoint string
	size      int64
	filling   bool // another replica is still filling when the pause ends
	verified  bool // the paused leader has all bytes and has verified them, so its clients get them
}

// start makes the upstream send bytes only after open is called. With p.filling, each connection stalls after a segment
// instead, so that the paused leader cannot finish before it checks its lease.
func (p pause) start(t *testing.T, w *cluster) (open func()) {
	t.Helper()
	if !p.filling {
		return w.gate(t, killedSpeed)
	}
	w.upstream.Faults.Set(upstreamtest.Fault{Kind: upstreamtest.CDNGet, Damage: upstreamtest.Stall, Skip: 4, At: 1, Until: t.Context().Done()})
	return func() {}
}

// resume lets the upstream send everything to the replica that takes over, or only 1 MiB per connection until release is
// called.
func (p pause) resume(t *testing.T, w *cluster) (release func()) {
	t.Helper()
	if !p.filling {
		w.upstream.Faults.Clear()
		return func() {}
	}
	until := make(chan struct{})
	release = func() { closeOnce(until) }
	t.Cleanup(release)
	w.upstream.Faults.Set(upstreamtest.Fault{Kind: upstreamtest.CDNGet, Damage: upstreamtest.Stall, At: 1 << 20, Until: until})
	return release
}
