package upstreamtest

import (
	"bytes"
	"io"
	"net/http"
	"time"

	"github.com/opencontainers/go-digest"
)

// serveBlob redirects a GET to the CDN if there is one. It answers HEAD itself.
func (r *Registry) serveBlob(a *answer, q *request) {
	if q.digest == "" {
		a.error(http.StatusBadRequest, "DIGEST_INVALID", "provided digest did not match uploaded content")
		return
	}
	content := r.blob(q.repo, q.digest)
	if content == nil {
		a.fail(http.StatusNotFound)
		return
	}
	if r.cdn != nil && q.kind == BlobGet {
		http.Redirect(a, q.Request, r.sign(q, a.fault), http.StatusTemporaryRedirect)
		return
	}
	a.Header().Set("Docker-Content-Digest", q.digest.String())
	a.blob = true
	a.content(content, "application/octet-stream", q.digest.String())
}

func (r *Registry) blob(repo string, d digest.Digest) Content {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if repository := r.repos[repo]; repository != nil {
		return repository.blobs[d]
	}
	return nil
}

// content answers with an object, damaged by the fault. It honours ranges and conditions.
func (a *answer) content(c Content, mediaType, etag string) {
	c = a.fault.damaged(c)
	if a.fault.Encoding != "" {
		c = bytes.NewReader(a.encoded(io.NewSectionReader(c, 0, c.Size())))
	}
	a.Header()["Content-Type"] = nil // so that net/http does not guess it for manifests without one
	if mediaType != "" {
		a.Header().Set("Content-Type", mediaType)
	}
	a.Header().Set("ETag", `"`+etag+`"`)
	http.ServeContent(a, a.q.Request, "", time.Time{}, io.NewSectionReader(c, 0, c.Size()))
}
