package main_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/upstream/upstreamtest"
)

const (
	badBlob      = 3*fillSegment + 1<<20
	badSmallBlob = 2 << 20
	badTinyBlob  = 600 // held back as a whole until it is verified
)

func TestBadBlobIsNeverStoredAndNextFillStartsAfresh(t *testing.T) {
	t.Parallel()
	cdn := upstreamtest.Fault{Kind: upstreamtest.CDNGet, BytesPerSecond: 6 << 20}
	with := func(change func(f *upstreamtest.Fault)) upstreamtest.Fault {
		fault := cdn
		change(&fault)
		return fault
	}
	damage := func(kind upstreamtest.Damage, at int64) upstreamtest.Fault {
		return with(func(f *upstreamtest.Fault) { f.Damage, f.At = kind, at })
	}
	html := with(func(f *upstreamtest.Fault) { f.HTML = true })
	atStart := new(int64)
	atOnce(t, 6, map[string]bad{
		"wrong byte":                      {badBlob, damage(upstreamtest.Corrupt, fillSegment+1)},
		"wrong last byte":                 {badBlob, damage(upstreamtest.Corrupt, badBlob-1)},
		"wrong byte, small blob":          {badSmallBlob, damage(upstreamtest.Corrupt, 1000)},
		"wrong byte, tiny blob":           {badTinyBlob, damage(upstreamtest.Corrupt, 0)},
		"too short":                       {badBlob, damage(upstreamtest.Truncate, badBlob-1)},
		"whole segments missing":          {badBlob, damage(upstreamtest.Truncate, 2*fillSegment)},
		"too short, small blob":           {badSmallBlob, damage(upstreamtest.Truncate, 100_000)},
		"too long":                        {badBlob, damage(upstreamtest.Pad, 1)},
		"too long, small blob":            {badSmallBlob, damage(upstreamtest.Pad, 1<<20)},
		"HTML page with status 200":       {badBlob, html},
		"HTML page instead of a redirect": {badBlob, upstreamtest.Fault{Kind: upstreamtest.BlobGet, HTML: true}},
		"HTML page, tiny blob":            {badTinyBlob, html},
		"false size in Content-Range": {badBlob, with(func(f *upstreamtest.Fault) {
			f.Byte = atStart
			f.Header = http.Header{"Content-Range": {fmt.Sprintf("bytes 0-%d/%d", fillSegment-1, badBlob-1000)}}
		})},
		"false position in Content-Range": {badBlob, with(func(f *upstreamtest.Fault) {
			f.Byte = atStart
			f.ShiftRange = 100
			f.Header = http.Header{"Content-Range": {fmt.Sprintf("bytes 0-%d/%d", fillSegment-1, badBlob)}}
		})},
	}, func(t *testing.T, b bad) {
		w := newCluster(t)
		blob := w.blob(1, b.size)
		w.upstream.Faults.Set(b.fault)
		if b.fault.Byte != nil {
			w.upstream.Faults.Add(cdn)
		}
		replicas := w.replicas(t, 2)

		leaders := replicas[0].get(t, blob)
		<-leaders.answered // with an error if the blob is tiny
		followers := replicas[1].get(t, blob)
		leaders.incomplete(t)
		followers.incomplete(t)
		t.Logf("the leader's client got %d bytes (%v), the follower's %d (%v)",
			leaders.received.Load(), leaders.err, followers.received.Load(), followers.err)
		assert.Empty(t, w.bucket.keys(t, "public/blobs/"))
		w.bucket.nothingLeft(t)
		w.bucket.noUploads(t, blob)
		assertFailureLogged(t, replicas[0], blob)

		w.upstream.Faults.Clear()
		for _, r := range replicas {
			r.get(t, blob).complete(t)
		}
		w.isWhole(t, blob)
		w.bucket.nothingLeft(t)
	})
}

type bad struct {
	size  int64
	fault upstreamtest.Fault
}

// assertFailureLogged fails the test unless the replica has counted and logged the failure of a bad blob.
func assertFailureLogged(t *testing.T, r *replica, b coldBlob) {
	t.Helper()
	failed := r.logged(t, "fill failed")
	require.NotEmpty(t, failed, "log events")
	for _, line := range failed {
		assert.Equal(t, b.digest.String(), line.text("digest"))
		assert.Equal(t, "docker.io", line.text("upstream"))
		assert.Equal(t, fillRepo, line.text("repository"))
		assert.Contains(t, line.text("error"), "not the requested blob")
	}
	assert.GreaterOrEqual(t, r.metric(t, "entrepot_fills_failed_total"), float64(len(failed)))
}

func TestImmediateRetryAfterBadBlobSucceeds(t *testing.T) {
	t.Parallel()
	w := newCluster(t)
	blob := w.blob(1, badBlob)
	r := w.start(t)
	for range 5 {
		w.upstream.Faults.Set(upstreamtest.Fault{Kind: upstreamtest.CDNGet, Damage: upstreamtest.Corrupt, At: badBlob - 2})
		r.get(t, blob).incomplete(t)
		w.upstream.Faults.Clear()
		r.get(t, blob).complete(t)
		w.isWhole(t, blob)
		w.bucket.nothingLeft(t)
		w.bucket.remove(t, blob.key())
		r = w.start(t)
	}
}

func TestUpstreamWithWrongRangesIsReadAsOneStream(t *testing.T) {
	t.Parallel()
	atOnce(t, 3, map[string]upstreamtest.Fault{
		"Range ignored":       {IgnoreRange: true},
		"ranges shifted":      {ShiftRange: 100},
		"first range shifted": {ShiftRange: 100, Times: 1},
	}, func(t *testing.T, fault upstreamtest.Fault) {
		w := newCluster(t)
		blob := w.blob(1, badBlob)
		fault.Kind = upstreamtest.CDNGet
		w.upstream.Faults.Set(fault)
		replicas := w.replicas(t, 2)
		leaders := replicas[0].get(t, blob)
		leaders.headers(t)
		followers := replicas[1].get(t, blob)
		leaders.complete(t)
		followers.complete(t)
		w.isWhole(t, blob)
		w.bucket.nothingLeft(t)
		t.Logf("upstream sent %.2f times the blob, by %s", float64(w.sent(blob))/float64(blob.size()), strings.Join(w.ranges(), ", "))
	})
}

// ranges returns the Range headers of the requests to the upstream's storage.
func (w *cluster) ranges() []string {
	var ranges []string
	for _, request := range w.upstream.Requests() {
		if request.Kind == upstreamtest.CDNGet {
			ranges = append(ranges, fmt.Sprintf("%q", request.Header.Get("Range")))
		}
	}
	return ranges
}
