package upstreamtest

import (
	"maps"
	"net/http"
	"slices"
	"sync"

	"github.com/opencontainers/go-digest"
)

// Counts counts what a registry, its token service and its CDN received and sent. A count is up to date when a client has
// the response, so tests need not wait.
type Counts struct {
	Requests     map[Kind]int            // of any outcome
	ByRepository map[string]map[Kind]int // of any outcome; requests for tokens count for the first repository in the scope

	BlobBytes     int64                   // of bodies, as written to connections, even if the client does not read them
	BytesByDigest map[digest.Digest]int64 // the same by blob

	Connections, PeakConnections int // open now, and at most
	BlobGets, PeakBlobGets       int // GETs in progress that send a blob's bytes, until the last byte

	Violations []Violation
}

// Request is an entry of the log.
type Request struct {
	At      string // the address that received it: Host, TokenHost or CDNHost
	Kind    Kind
	Repo    string
	Digest  digest.Digest // that of the tag, if it names one
	Method  string
	Path    string
	Query   string      // as sent
	Header  http.Header // Accept, Accept-Encoding, Authorization, If-None-Match, If-Range, Range and User-Agent
	Faulted bool        // a fault hit it
	Status  int         // 0: no response, or not yet
}

var logged = []string{"Accept", "Accept-Encoding", "Authorization", "If-None-Match", "If-Range", "Range", "User-Agent"}

// Counts returns the counts as they are now.
func (r *Registry) Counts() Counts {
	r.ledger.mu.Lock()
	defer r.ledger.mu.Unlock()
	c := r.ledger.counts
	c.Requests = maps.Clone(c.Requests)
	c.BytesByDigest = maps.Clone(c.BytesByDigest)
	c.Violations = slices.Clone(c.Violations)
	c.ByRepository = maps.Clone(c.ByRepository)
	for repo, requests := range c.ByRepository {
		c.ByRepository[repo] = maps.Clone(requests)
	}
	return c
}

// Requests returns the log in the order of arrival.
func (r *Registry) Requests() []Request {
	r.ledger.mu.Lock()
	defer r.ledger.mu.Unlock()
	log := make([]Request, len(r.ledger.log))
	for i, entry := range r.ledger.log {
		log[i] = *entry
	}
	return log
}

// ResetCounts empties the counts and the log, except for open connections and GETs in progress.
func (r *Registry) ResetCounts() { r.ledger.reset() }

// ledger keeps the counts and the log.
type ledger struct {
	mu     sync.Mutex
	counts Counts
	log    []*Request
}

func (l *ledger) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.log = nil
	l.counts = Counts{
		Requests:        map[Kind]int{},
		ByRepository:    map[string]map[Kind]int{},
		BytesByDigest:   map[digest.Digest]int64{},
		Connections:     l.counts.Connections,
		PeakConnections: l.counts.Connections,
		BlobGets:        l.counts.BlobGets,
		PeakBlobGets:    l.counts.BlobGets,
	}
}

// enter records a request when it arrives.
func (l *ledger) enter(q *request, at string, violations []Violation) *Request {
	entry := &Request{
		At: at, Kind: q.kind, Repo: q.repo, Digest: q.digest,
		Method: q.Method, Path: q.URL.Path, Query: q.URL.RawQuery, Header: http.Header{},
	}
	for _, name := range logged {
		if values := q.Header.Values(name); len(values) > 0 {
			entry.Header[name] = slices.Clone(values)
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.log = append(l.log, entry)
	l.counts.Requests[q.kind]++
	if l.counts.ByRepository[q.repo] == nil {
		l.counts.ByRepository[q.repo] = map[Kind]int{}
	}
	l.counts.ByRepository[q.repo][q.kind]++
	l.counts.Violations = append(l.counts.Violations, violations...)
	return entry
}

func (l *ledger) faulted(entry *Request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	entry.Faulted = true
}

func (l *ledger) answered(entry *Request, status int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	entry.Status = status
}

func (l *ledger) sent(d digest.Digest, n int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.counts.BlobBytes += n
	l.counts.BytesByDigest[d] += n
}

func (l *ledger) connected(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.counts.Connections += n
	l.counts.PeakConnections = max(l.counts.PeakConnections, l.counts.Connections)
}

// bodyBegins counts the start of a blob's body. ends counts its end, however often it is called.
func (l *ledger) bodyBegins() (ends func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.counts.BlobGets++
	l.counts.PeakBlobGets = max(l.counts.PeakBlobGets, l.counts.BlobGets)
	return sync.OnceFunc(func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.counts.BlobGets--
	})
}
