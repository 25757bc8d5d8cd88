//go:build e2e

package cluster_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot-io/entrepot/upstream/upstreamtest"
)

// maxLost is the most bytes of one fill that die with its leader. Each connection may have a segment in transit, the next
// segment requested already, and a segment that is being stored.
const maxLost = 3 * connections * segment

// samplePeriod is how often traffic reads the upstream's counters. It is short compared with the seconds that a fill takes.
const samplePeriod = 100 * time.Millisecond

// traffic records when the upstream sends which blob.
type traffic struct {
	upstream *upstreamtest.Registry

	mu   sync.Mutex
	sent map[digest.Digest]*transfer
}

// transfer is the traffic of one blob.
type transfer struct {
	bytes       int64
	first, last time.Time // of the bytes sent
}

func newTraffic(upstream *upstreamtest.Registry) *traffic {
	return &traffic{upstream: upstream, sent: map[digest.Digest]*transfer{}}
}

// record samples the traffic until ctx ends.
func (tr *traffic) record(ctx context.Context) {
	for ctx.Err() == nil {
		tr.sample()
		time.Sleep(samplePeriod)
	}
}

func (tr *traffic) sample() {
	now := time.Now()
	tr.mu.Lock()
	defer tr.mu.Unlock()
	for d, bytes := range tr.upstream.Counts().BytesByDigest {
		sent := tr.sent[d]
		if sent == nil {
			sent = &transfer{first: now.Add(-samplePeriod)}
			tr.sent[d] = sent
		}
		if sent.bytes != bytes {
			sent.bytes, sent.last = bytes, now
		}
	}
}

// check fails the test unless the upstream sent each blob once, plus the bytes that faults may cost. It returns the bytes
// sent and the blobs' total size.
func (tr *traffic) check(t *testing.T, j *journal, images []image, faults []*fault) (sent, size int64) {
	t.Helper()
	tr.sample()
	for _, img := range images {
		for _, blob := range img.blobs() {
			got := tr.sent[blob.Digest]
			if got == nil {
				j.fail(t, "upstream", "blob %s of %s was never sent", short(blob.Digest), img.name())
				continue
			}
			sent, size = sent+got.bytes, size+blob.Size
			during := got.during(faults)
			allowed := blob.Size + int64(leaderLosses(during))*min(maxLost, blob.Size)
			if got.bytes == blob.Size {
				continue
			}
			summary := fmt.Sprintf("blob %s of %s: sent %d of %d bytes (%.2f times) between %.1f and %.1f s; %d of these faults may lose a leader: %s",
				short(blob.Digest), img.name(), got.bytes, blob.Size, float64(got.bytes)/float64(blob.Size),
				got.first.Sub(j.began).Seconds(), got.last.Sub(j.began).Seconds(), leaderLosses(during), list(during))
			if got.bytes < blob.Size || got.bytes > allowed {
				j.fail(t, "upstream", "%s", summary)
			} else {
				j.add("upstream", "%s", summary)
			}
		}
	}
	if v := tr.upstream.Counts().Violations; len(v) > 0 {
		j.fail(t, "upstream", "bad requests: %v", v)
	}
	return sent, size
}

// during returns the faults that overlap with the transfer.
func (tr *transfer) during(faults []*fault) []*fault {
	var found []*fault
	for _, f := range faults {
		if f.begun.Before(tr.last) && f.end.After(tr.first) {
			found = append(found, f)
		}
	}
	return found
}

// leaderLosses counts the faults that may end a leader's lease, and so cost the upstream bytes: the leader died, was
// terminated, or could not renew the lease while another replica could take it over. The latter takes more than half of
// the lease's lifetime. Slow links and an outage of the bucket for all replicas cost no lease.
func leaderLosses(faults []*fault) (n int) {
	for _, f := range faults {
		switch f.kind {
		case "kill", "restart":
			n++
		case "pause", "cut", "block":
			if f.end.Sub(f.begun) > 4*time.Second {
				n++
			}
		}
	}
	return n
}

func list(faults []*fault) string {
	var words []string
	for _, f := range faults {
		words = append(words, fmt.Sprintf("%s for %.1f s", f.kind, f.end.Sub(f.begun).Seconds()))
	}
	return strings.Join(words, ", ")
}

// checkManifests fails the test if the upstream served more manifest GETs than one per image and fault. HEADs are free.
func (tr *traffic) checkManifests(t *testing.T, j *journal, images []image, faults []*fault) string {
	t.Helper()
	requests := tr.upstream.Counts().Requests
	gets := requests[upstreamtest.ManifestGet]
	if gets > len(images)+len(faults) {
		j.fail(t, "upstream", "%d manifest GETs for %d images and %d faults", gets, len(images), len(faults))
	}
	return fmt.Sprintf("%d GETs and %d HEADs of manifests", gets, requests[upstreamtest.ManifestHead])
}
