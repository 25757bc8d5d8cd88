package upstream

import (
	"slices"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
)

// A blob can be verified only when all of its bytes have arrived. If they are wrong, the caller rejects them, and the
// endpoints that sent them are doubted: for a while, requests for that blob go to the other endpoints. If all endpoints are
// doubted, one at a time serves the whole blob, which shows whose bytes are wrong.

const (
	// doubtLife is how long a doubt lasts.
	doubtLife = 10 * time.Minute
	// maxDoubts limits the number of doubts per upstream.
	maxDoubts = 1000
)

// doubts are an upstream's doubts about its endpoints. The zero value is empty.
type doubts struct {
	mu    sync.Mutex
	until map[doubt]time.Time
}

// A doubt is about one blob at one endpoint.
type doubt struct {
	endpoint *endpoint
	repo     Repository
	digest   digest.Digest
}

func (d *doubts) add(of doubt) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.until == nil || len(d.until) >= maxDoubts {
		d.until = map[doubt]time.Time{}
	}
	d.until[of] = time.Now().Add(doubtLife)
}

func (d *doubts) has(of doubt) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return time.Now().Before(d.until[of])
}

// choice selects the endpoints that serve a Blob. The Blob's lock guards it.
type choice struct {
	told    int64              // size in bytes according to a manifest; 0 if unknown
	gave    map[*endpoint]bool // sent parts since the last rejection
	avoided map[*endpoint]bool // sent something else, or nothing
	misfit  map[*endpoint]bool // avoided only because they contradict told
	refuted map[*endpoint]bool // sent the whole blob, and it was wrong
}

func mark(set *map[*endpoint]bool, e *endpoint) {
	if *set == nil {
		*set = map[*endpoint]bool{}
	}
	(*set)[e] = true
}

// WithSize sets the blob's size in bytes according to a manifest, 0 if unknown, and returns the Blob. The size is a hint:
// an endpoint that contradicts it is avoided as long as another agrees.
func (b *Blob) WithSize(size int64) *Blob {
	b.told = size
	return b
}

// candidates returns the endpoints to try, in order.
func (b *Blob) candidates() []*endpoint {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.candidatesLocked()
}

func (b *Blob) candidatesLocked() []*endpoint {
	if trusted := b.trusted(); len(trusted) > 0 {
		return trusted
	}
	if left := b.unrefuted(); len(left) > 0 {
		return left[len(left)-1:]
	}
	return b.registry.endpoints
}

// trusted returns the endpoints that are neither avoided, doubted nor refuted. The caller holds the lock.
func (b *Blob) trusted() []*endpoint {
	return slices.DeleteFunc(b.unrefuted(), func(e *endpoint) bool {
		return b.avoided[e] || b.registry.doubts.has(b.doubtOf(e))
	})
}

// unrefuted returns the endpoints whose bytes may be right. The caller holds the lock.
func (b *Blob) unrefuted() []*endpoint {
	return slices.DeleteFunc(slices.Clone(b.registry.endpoints), func(e *endpoint) bool { return b.refuted[e] })
}

func (b *Blob) doubtOf(e *endpoint) doubt { return doubt{e, b.repo, b.digest} }

// avoid directs further requests to the other endpoints. The caller holds the lock.
func (b *Blob) avoid(e *endpoint) {
	mark(&b.avoided, e)
	if b.located != nil && b.located.endpoint == e {
		b.located = nil
	}
}

// turnAway avoids an endpoint that sent something else. misfit means that it only contradicts the size from the manifest.
func (b *Blob) turnAway(e *endpoint, misfit bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.avoid(e)
	if misfit {
		mark(&b.misfit, e)
	}
}

// forgetTold drops a size that no endpoint confirms, and admits the endpoints that contradict it. It reports whether there
// are any.
func (b *Blob) forgetTold() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.forgetToldLocked()
}

func (b *Blob) forgetToldLocked() bool {
	if len(b.misfit) == 0 {
		return false
	}
	for e := range b.misfit {
		delete(b.avoided, e)
	}
	b.misfit, b.told = nil, 0
	return true
}

// given records which endpoint sent a part.
func (b *Blob) given(p *Part) *Part {
	b.mu.Lock()
	defer b.mu.Unlock()
	mark(&b.gave, p.endpoint)
	return p
}

// Fits reports whether the size that came with p agrees with the manifest's, or no other endpoint is left. If not, the next
// part comes from another endpoint.
func (b *Blob) Fits(p *Part, size int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.told <= 0 || size == b.told {
		return true
	}
	b.avoid(p.endpoint)
	mark(&b.misfit, p.endpoint)
	if len(b.trusted()) > 0 {
		return false
	}
	b.forgetToldLocked()
	return true
}

// Doubt records that a part brought nothing useful. It reports whether the next part comes from another endpoint.
func (b *Blob) Doubt(p *Part) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if p.endpoint == nil {
		return false
	}
	b.avoid(p.endpoint)
	if len(b.trusted()) == 0 { // retry those that failed before
		b.avoided = nil
		b.avoid(p.endpoint)
	}
	if len(b.trusted()) == 0 {
		b.avoided = nil
	}
	return b.candidatesLocked()[0] != p.endpoint
}

// Reject records that the parts since the last call do not add up to the blob. It reports whether an endpoint is left whose
// bytes may be right. The next parts come from the trusted endpoints, or from one alone if there are none.
func (b *Blob) Reject() (others bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	gave := slices.DeleteFunc(slices.Clone(b.registry.endpoints), func(e *endpoint) bool { return !b.gave[e] })
	b.gave, b.avoided, b.misfit, b.located = nil, nil, nil, nil
	switch last := len(gave) - 1; {
	case last < 0:
		return false
	case last == 0:
		mark(&b.refuted, gave[0])
		b.registry.doubts.add(b.doubtOf(gave[0]))
	default:
		for _, e := range gave[:last] { // the last is the origin or closest to it
			b.registry.doubts.add(b.doubtOf(e))
		}
	}
	return len(b.unrefuted()) > 0
}

// Doubted returns the names of doubted endpoints, for other processes.
func (b *Blob) Doubted() (names []string) {
	for _, e := range b.registry.endpoints {
		if b.HasOthers() && b.registry.doubts.has(b.doubtOf(e)) {
			names = append(names, e.id)
		}
	}
	return names
}

// DoubtAlso doubts the endpoints that another process named. It ignores unknown names.
func (b *Blob) DoubtAlso(names []string) {
	for _, e := range b.registry.endpoints {
		if slices.Contains(names, e.id) {
			b.registry.doubts.add(b.doubtOf(e))
		}
	}
}

// HasOthers reports whether there is more than one endpoint.
func (b *Blob) HasOthers() bool { return len(b.registry.endpoints) > 1 }
