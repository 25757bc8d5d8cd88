package upstreamtest

import (
	"net/http"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
)

// Kind is the kind of a request: what it is for, and its method if that is counted separately.
type Kind string

// All kinds of requests.
const (
	Ping         Kind = "ping"
	Token        Kind = "token"
	ManifestHead Kind = "manifest HEAD"
	ManifestGet  Kind = "manifest GET"
	BlobHead     Kind = "blob HEAD"
	BlobGet      Kind = "blob GET" // at the registry, even if it redirects
	CDNGet       Kind = "CDN GET"
	Tags         Kind = "tags"
	Referrers    Kind = "referrers"
	Other        Kind = "other" // any other path or method
)

// request is an HTTP request with what its path means.
type request struct {
	*http.Request
	kind   Kind
	repo   string
	ref    string        // a tag or a digest
	digest digest.Digest // of ref; empty if the tag is unknown
	cdn    *signedURL    // of a request to the CDN; nil if the URL is invalid
	entry  *Request
}

// route reads a request to the registry. Names contain slashes, so it reads from the right.
func (r *Registry) route(hr *http.Request) *request {
	q := &request{Request: hr, kind: Other}
	get, head := hr.Method == http.MethodGet, hr.Method == http.MethodHead
	if !get && !head {
		return q
	}
	path, isAPI := strings.CutPrefix(hr.URL.Path, "/v2/")
	parts := strings.Split(path, "/")
	switch {
	case hr.URL.Path == "/v2/" || hr.URL.Path == "/v2":
		q.kind = Ping
		return q
	case hr.URL.Path == "/token" && get && r.token == r.registry:
		return routeToken(hr)
	case !isAPI || len(parts) < 3:
		return q
	}
	what := parts[len(parts)-2]
	q.repo, q.ref = strings.Join(parts[:len(parts)-2], "/"), parts[len(parts)-1]
	switch {
	case what == "manifests" && get:
		q.kind = ManifestGet
	case what == "manifests":
		q.kind = ManifestHead
	case what == "blobs" && get:
		q.kind = BlobGet
	case what == "blobs":
		q.kind = BlobHead
	case what == "tags" && q.ref == "list":
		q.kind, q.ref = Tags, ""
	case what == "referrers":
		q.kind = Referrers
	}
	q.digest = r.resolve(q.repo, q.ref)
	return q
}

// routeToken reads a request to the token service. Its repository is the first of its scopes.
func routeToken(hr *http.Request) *request {
	q := &request{Request: hr, kind: Token}
	if repos := scopes(hr); len(repos) > 0 {
		q.repo = repos[0]
	}
	return q
}

// asksFor reports whether the requested range includes the object's byte at offset.
func (q *request) asksFor(offset int64) bool {
	first, last, ok := parseRange(q.Header.Get("Range"))
	return !ok || first <= offset && (last < 0 || offset <= last)
}

// accepts reports whether the Accept headers name a media type literally.
func (q *request) accepts(mediaType string) bool {
	named := strings.Split(strings.Join(q.Header.Values("Accept"), ","), ",")
	return slices.ContainsFunc(named, func(s string) bool {
		name, _, _ := strings.Cut(s, ";")
		return strings.TrimSpace(name) == mediaType
	})
}
