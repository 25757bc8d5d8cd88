//go:build e2e

package e2e_test

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/entrepot-io/entrepot/infra/testenv"
)

const conformanceRepository = "conformance/repo1"

// TestConformanceReadOnly runs the suite's tests for read-only registries: the suite reads a given list of content. The
// suite itself pushes that content to the upstream first.
func TestConformanceReadOnly(t *testing.T) {
	upstream := startReferrersRegistry(t)
	pushed := runConformance(t, upstream, pushOnly)
	pushed.mustPass(t, "pushes to the upstream")
	inv := inventoryOf(t, upstream, conformanceRepository)
	mirror := startConformanceMirror(t, upstream, minioStore(t, testenv.StartMinIO(t)), time.Second)
	for name, repository := range map[string]string{
		"default upstream":     conformanceRepository,
		"upstream in the path": "docker.io/" + conformanceRepository,
	} {
		t.Run(name, func(t *testing.T) {
			report := runConformance(t, mirror, inv.readOnly(repository))
			report.mustPass(t, "the mirror, "+name)
			report.mustHavePassed(t, inv.wantPassed())
		})
	}
}

// TestConformanceOfPushedContent sends the suite's reads to the mirror and everything else to the upstream. The suite then
// compares all bytes with its pushes, including ranges of blobs and listings. Every test that passes with the upstream
// alone must pass through the mirror.
func TestConformanceOfPushedContent(t *testing.T) {
	alone := runConformance(t, startReferrersRegistry(t), pushAndPull)
	alone.mustPass(t, "the upstream alone")
	minio := testenv.StartMinIO(t)
	for name, store := range map[string]store{
		"redirected to the bucket": minioStore,
		"streamed from the bucket": func(t testing.TB, server *testenv.S3) []string {
			return append(s3Store(t, server), "ENTREPOT_REDIRECT=never")
		},
		"streamed from the file store": func(t testing.TB, _ *testenv.S3) []string {
			return []string{"ENTREPOT_STORE=file:" + t.TempDir()}
		},
	} {
		t.Run(name, func(t *testing.T) {
			upstream := startReferrersRegistry(t)
			// The suite reads tags right after it moved them, and lists a repository just before and after it exists.
			mirror := startConformanceMirror(t, upstream, append(store(t, minio), "ENTREPOT_NEGATIVE_TTL=0s"), time.Nanosecond)
			through := runConformance(t, startSplit(t, mirror, upstream), pushAndPull)
			through.mustPass(t, "through the mirror, "+name)
			through.mustHavePassed(t, alone.passed)
		})
	}
}

// startConformanceMirror returns the URL of a mirror with one upstream.
func startConformanceMirror(t *testing.T, upstream string, store []string, ttl time.Duration) string {
	t.Helper()
	addr := testenv.FreeAddr(t, "127.0.0.1")
	startMirror(t, addr, store, "docker.io="+upstream, ttl)
	return "http://" + addr
}

// startSplit returns the URL of a proxy that sends reads to the mirror and pushes to the upstream.
func startSplit(t *testing.T, mirror, upstream string) string {
	t.Helper()
	reads, writes := passOn(t, mirror), passOn(t, upstream)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		read := r.Method == http.MethodGet || r.Method == http.MethodHead
		if read && !strings.Contains(r.URL.Path, "/blobs/uploads/") {
			reads.ServeHTTP(w, r)
			return
		}
		writes.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func passOn(t *testing.T, to string) http.Handler {
	t.Helper()
	target, err := url.Parse(to)
	must(t, err, "parse a URL")
	return &httputil.ReverseProxy{Rewrite: func(p *httputil.ProxyRequest) {
		p.SetURL(target)
		p.Out.Host = p.In.Host // registries use it in Location headers
	}}
}
