package upstreamtest

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

func (r *Registry) serveTags(a *answer, q *request) {
	r.mu.RLock()
	tags := slices.Sorted(maps.Keys(r.repos[q.repo].tags))
	r.mu.RUnlock()
	tags, ok := r.page(a, q, tags)
	if !ok {
		a.error(http.StatusBadRequest, "PAGINATION_NUMBER_INVALID", "invalid number of results requested")
		return
	}
	a.json(http.StatusOK, "application/json", struct {
		Name string   `json:"name"`
		Tags []string `json:"tags"`
	}{q.repo, tags})
}

func (r *Registry) serveReferrers(a *answer, q *request) {
	if r.opts.NoReferrers {
		a.bytes(http.StatusNotFound, "text/plain; charset=utf-8", []byte("404 page not found\n"))
		return
	}
	if q.digest == "" {
		a.error(http.StatusBadRequest, "DIGEST_INVALID", "not a digest")
		return
	}
	artifactType := q.URL.Query().Get("artifactType")
	found := map[string]ocispec.Descriptor{}
	r.mu.RLock()
	for d, m := range r.repos[q.repo].manifests {
		if m.subject == q.digest && (artifactType == "" || artifactType == m.ArtifactType) {
			found[d.String()] = m.Descriptor
		}
	}
	r.mu.RUnlock()
	digests, ok := r.page(a, q, slices.Sorted(maps.Keys(found)))
	if !ok {
		a.error(http.StatusBadRequest, "PAGINATION_NUMBER_INVALID", "invalid number of results requested")
		return
	}
	index := ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: ocispec.MediaTypeImageIndex,
		Manifests: []ocispec.Descriptor{},
	}
	for _, d := range digests {
		index.Manifests = append(index.Manifests, found[d])
	}
	if artifactType != "" {
		a.Header().Set("OCI-Filters-Applied", "artifactType")
	}
	a.json(http.StatusOK, ocispec.MediaTypeImageIndex, index)
}

// page returns the part of a sorted list that n and last select, and links to the rest. It is not ok if n is invalid.
func (r *Registry) page(a *answer, q *request, names []string) (_ []string, ok bool) {
	query := q.URL.Query()
	size := len(names)
	if r.opts.PageSize > 0 {
		size = r.opts.PageSize
	}
	if query.Has("n") {
		n, err := strconv.Atoi(query.Get("n"))
		if err != nil || n < 0 || r.opts.StrictPages && n > size {
			return nil, false
		}
		size = min(size, n)
	} else if r.opts.DefaultPage > 0 {
		size = r.opts.DefaultPage
	}
	if last := query.Get("last"); last != "" {
		at, found := slices.BinarySearch(names, last)
		if found {
			at++
		}
		names = names[at:]
	}
	if size == 0 || len(names) == 0 {
		return []string{}, true // nil would become null in JSON
	}
	if size < len(names) {
		names = names[:size]
		rest := url.Values{"n": {strconv.Itoa(size)}, "last": {names[size-1]}}
		if query.Has("artifactType") {
			rest.Set("artifactType", query.Get("artifactType"))
		}
		next := url.URL{Path: q.URL.Path, RawQuery: rest.Encode()}
		if r.opts.LinkHost != "" {
			next.Scheme, next.Host = "http", r.opts.LinkHost
		}
		a.Header().Set("Link", fmt.Sprintf(`<%s>; rel="next"`, next.String()))
	}
	return names, true
}
