//go:build e2e

package e2e_test

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/entrepot-io/entrepot/infra/testenv"
)

// tagTTL is the mirror's ENTREPOT_TAG_TTL.
const tagTTL = time.Second

// A mirror is a running entrepot with its upstreams and its own bucket.
type mirror struct {
	addr      string
	upstreams map[string]*testenv.Registry // by name in ENTREPOT_UPSTREAMS
	process   *testenv.Process

	store  []string // settings of the store
	config string   // ENTREPOT_UPSTREAMS
}

// newMirror starts an upstream for each name, and a mirror of them. The first upstream is the default.
func newMirror(t testing.TB, store []string, names ...string) *mirror {
	t.Helper()
	m := &mirror{addr: testenv.FreeAddr(t, "127.0.0.1"), upstreams: map[string]*testenv.Registry{}, store: store}
	var upstreams []string
	for _, name := range names {
		registry := testenv.StartRegistry(t, "127.0.0.2")
		m.upstreams[name] = registry
		upstreams = append(upstreams, name+"="+registry.URL())
	}
	m.config = strings.Join(upstreams, ",")
	m.process = startMirror(t, m.addr, m.store, m.config, tagTTL)
	return m
}

// startMirror starts entrepot at addr and waits until it is ready.
func startMirror(t testing.TB, addr string, store []string, upstreams string, ttl time.Duration) *testenv.Process {
	t.Helper()
	env := append(slices.Clone(store),
		"ENTREPOT_LISTEN="+addr,
		"ENTREPOT_UPSTREAMS="+upstreams,
		"ENTREPOT_TAG_TTL="+ttl.String(),
		"ENTREPOT_LOG_FORMAT=json",
	)
	process := testenv.StartProgram(t, env...)
	process.WaitHTTP(t, "http://"+addr+"/readyz")
	return process
}

// replace kills the process and starts a new one, which knows only what is in the bucket.
func (m *mirror) replace(t testing.TB) {
	t.Helper()
	m.process.Kill()
	m.process = startMirror(t, m.addr, m.store, m.config, tagTTL)
}

// stopUpstreams stops all upstreams.
func (m *mirror) stopUpstreams(t testing.TB) {
	t.Helper()
	for _, registry := range m.upstreams {
		registry.Stop(t)
	}
}

// upstreamRequests returns the number of requests that the upstreams have served so far.
func (m *mirror) upstreamRequests(t testing.TB) int {
	t.Helper()
	n := 0
	for registry := range maps.Values(m.upstreams) {
		n += len(registry.Answers(t))
	}
	return n
}

// bytesSent returns how many bytes of a blob the upstreams have sent so far.
func (m *mirror) bytesSent(t testing.TB, digest string) int64 {
	t.Helper()
	var n int64
	for registry := range maps.Values(m.upstreams) {
		for _, answer := range registry.Answers(t) {
			if answer.Method == http.MethodGet && strings.HasSuffix(answer.Path, "/blobs/"+digest) {
				n += answer.Bytes
			}
		}
	}
	return n
}

// requestsSince returns the requests that the mirror has served since a time. The mirror logs a request after its
// response, so requestsSince waits until the log has a GET of each of the image's blobs.
func (m *mirror) requestsSince(t testing.TB, since time.Time, img image) []request {
	t.Helper()
	deadline := time.Now().Add(5 * time.Second)
	for {
		requests := slices.DeleteFunc(parseAccessLog(t, m.process.Output(t)), func(r request) bool { return r.Time.Before(since) })
		missing := maps.Clone(img.blobs)
		for _, r := range requests {
			if digest, ok := r.blobDigest(); ok {
				delete(missing, digest)
			}
		}
		if len(missing) == 0 {
			return requests
		}
		if time.Now().After(deadline) {
			t.Fatalf("access log since %s lacks GETs of these blobs: %v", since.Format(time.TimeOnly), slices.Collect(maps.Keys(missing)))
		}
		time.Sleep(20 * time.Millisecond)
	}
}
