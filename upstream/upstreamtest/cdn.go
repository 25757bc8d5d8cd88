package upstreamtest

import (
	"crypto/rand"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/opencontainers/go-digest"
)

// signedURL is what the signature in a CDN URL permits.
type signedURL struct {
	repo    string
	digest  digest.Digest
	expires time.Time
	uses    int // GETs left; below 0: any number
}

// sign returns a URL for a blob. The request's fault may limit how long it is valid.
func (r *Registry) sign(q *request, f Fault) string {
	u := &signedURL{repo: q.repo, digest: q.digest, uses: -1, expires: r.opts.Now().Add(20 * time.Minute)}
	if f.URLLife != 0 {
		u.expires = r.opts.Now().Add(f.URLLife)
	}
	if f.URLUses > 0 {
		u.uses = f.URLUses
	}
	signature := rand.Text()
	r.mu.Lock()
	r.urls[signature] = u
	r.mu.Unlock()

	host := r.cdn.addr
	if r.opts.CDNName != "" {
		_, port, _ := net.SplitHostPort(host) // the listener's address is valid
		host = net.JoinHostPort(r.opts.CDNName, port)
	}
	query := url.Values{"expires": {strconv.FormatInt(u.expires.Unix(), 10)}, "signature": {signature}}
	return "http://" + host + cdnPath(q.digest) + "?" + query.Encode()
}

func cdnPath(d digest.Digest) string {
	return fmt.Sprintf("/registry-v2/docker/registry/v2/blobs/%s/%s/%s/data", d.Algorithm(), d.Encoded()[:2], d.Encoded())
}

func (r *Registry) serveCDN(w http.ResponseWriter, hr *http.Request) {
	q := &request{Request: hr, kind: Other}
	if hr.Method == http.MethodGet {
		q.kind = CDNGet
	}
	r.mu.RLock()
	if u := r.urls[hr.URL.Query().Get("signature")]; u != nil && hr.URL.Path == cdnPath(u.digest) {
		q.cdn, q.repo, q.digest = u, u.repo, u.digest
	}
	r.mu.RUnlock()
	a := r.observe(w, q, r.cdn)
	defer a.done()
	switch {
	case hr.Header.Get("Authorization") != "": // S3 and MinIO reject a request with two kinds of authentication
		a.bytes(http.StatusBadRequest, "application/xml", []byte("<Error><Code>InvalidArgument</Code></Error>"))
	case q.kind != CDNGet || q.cdn == nil || !r.use(q.cdn): // a URL signed for GET is not valid for HEAD
		a.bytes(http.StatusForbidden, "application/xml", []byte("<Error><Code>AccessDenied</Code></Error>"))
	case a.misbehave():
	default:
		r.serveSigned(a, q)
	}
}

func (r *Registry) serveSigned(a *answer, q *request) {
	content := r.blob(q.repo, q.digest)
	if content == nil { // deleted since
		a.bytes(http.StatusNotFound, "application/xml", []byte("<Error><Code>NoSuchKey</Code></Error>"))
		return
	}
	a.blob = true
	a.content(content, "application/octet-stream", q.digest.Encoded()[:32])
}

// use reports whether a URL is still valid, and counts the use.
func (r *Registry) use(u *signedURL) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.opts.Now().Before(u.expires) || u.uses == 0 {
		return false
	}
	u.uses-- // an unlimited one just gets further below 0
	return true
}
