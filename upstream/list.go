package upstream

import (
	"context"
	"errors"
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"github.com/opencontainers/go-digest"
)

// maxList limits in bytes one page of tags or referrers.
const maxList = 8 << 20

// List is one page of an upstream's list, byte for byte.
type List struct {
	Body      []byte // a JSON object
	MediaType string
	Next      url.Values // the query of the next page; nil on the last page
	Filtered  bool       // by artifact type, as requested (OCI-Filters-Applied)
}

// Tags fetches a page of a repository's tags. The query is the client's: n, last, and whatever an upstream's Link adds.
func (r *Registry) Tags(ctx context.Context, repo Repository, query url.Values) (List, error) {
	return r.list(ctx, request{method: http.MethodGet, repo: repo, path: "tags/list", query: query})
}

// Referrers fetches a page of the manifests that refer to a digest. The query is the client's: artifactType, and whatever
// an upstream's Link adds. An upstream without this API answers 404.
func (r *Registry) Referrers(ctx context.Context, repo Repository, d digest.Digest, query url.Values) (List, error) {
	return r.list(ctx, request{method: http.MethodGet, repo: repo, path: "referrers/" + d.String(), query: query})
}

func (r *Registry) list(ctx context.Context, q request) (List, error) {
	p, err := r.getPage(ctx, q, maxList)
	return p.List, err
}

// listPage is a page and its origin.
type listPage struct {
	List
	status int
	url    *url.URL // of the response
	link   *url.URL // to the next page, as the upstream wrote it; nil on the last page
}

// errLargePage is the cause of an error if a page exceeds its limit.
var errLargePage = errors.New("the page is too large")

// getPage fetches a page of at most most bytes.
func (r *Registry) getPage(ctx context.Context, q request, most int64) (listPage, error) {
	var p listPage
	resp, err := r.send(ctx, q, func(_ *endpoint, resp *http.Response, _ bool) error {
		if !ok(resp) {
			return errStatus
		}
		body, err := r.readList(ctx, resp, q.kind(), most)
		p = listPage{status: resp.StatusCode, url: resp.Request.URL, link: nextPage(resp.Header)}
		p.Body, p.Filtered = body, resp.Header.Get("OCI-Filters-Applied") != ""
		return err
	})
	if err != nil {
		return listPage{}, err
	}
	resp.Body.Close()
	if p.link != nil {
		p.Next = p.link.Query()
	}
	// An invalid type counts as none.
	if mediaType, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type")); err == nil && len(mediaType) <= maxMediaType {
		p.MediaType = mediaType
	}
	return p, nil
}

func (r *Registry) badList(p listPage, err error) *Error {
	return &Error{Registry: r.name, Endpoint: p.url.Host, Status: p.status, Err: err}
}

// leadsOn reports whether a page's Link leads to a page of the same list. Only its query is used, at the upstream's own
// endpoints. Its host does not matter: registries behind a proxy may write one that only they can reach.
func (p listPage) leadsOn(q request) bool {
	next := p.url.ResolveReference(p.link)
	return next.Path == p.url.Path || strings.HasSuffix(next.Path, "/"+q.repo.Path()+"/"+q.path)
}

var linkNext = regexp.MustCompile(`<([^>]*)>\s*;[^,]*\brel="?next"?`)

// nextPage returns the target of the RFC 8288 Link to the next page, or nil.
func nextPage(h http.Header) *url.URL {
	for _, link := range h.Values("Link") {
		m := linkNext.FindStringSubmatch(link)
		if m == nil {
			continue
		}
		if u, err := url.Parse(m[1]); err == nil {
			return u
		}
	}
	return nil
}
