package upstreamtest

import (
	"bytes"
	"fmt"
	"net/http"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// manifest is a pushed manifest.
type manifest struct {
	ocispec.Descriptor // with the artifact type and the annotations that the referrers API lists
	body               []byte
	subject            digest.Digest
}

func (r *Registry) serveManifest(a *answer, q *request) {
	r.mu.RLock()
	m, ok := r.repos[q.repo].manifests[q.digest]
	r.mu.RUnlock()
	if !ok {
		a.fail(http.StatusNotFound)
		return
	}
	if !r.withinLimit(a, q) {
		return
	}
	a.Header().Set("Docker-Content-Digest", m.Digest.String())
	if q.Header.Get("If-None-Match") == m.Digest.String() { // registries accept it without quotes too
		q.Header.Set("If-None-Match", `"`+m.Digest.String()+`"`)
	}
	a.content(bytes.NewReader(m.body), m.MediaType, m.Digest.String())
}

// withinLimit counts a GET against the rate limit. If the limit is exceeded, it answers 429 and returns false.
func (r *Registry) withinLimit(a *answer, q *request) bool {
	limit := int64(r.opts.RateLimit)
	if limit == 0 {
		return true
	}
	pulls := r.pulls.Load()
	if q.kind == ManifestGet {
		pulls = r.pulls.Add(1)
	}
	h := a.Header()
	h.Set("RateLimit-Limit", fmt.Sprintf("%d;w=21600", limit))
	h.Set("RateLimit-Remaining", fmt.Sprintf("%d;w=21600", max(0, limit-pulls)))
	h.Set("Docker-RateLimit-Source", "192.0.2.1")
	if q.kind == ManifestGet && pulls > limit {
		a.fail(http.StatusTooManyRequests)
		return false
	}
	return true
}
