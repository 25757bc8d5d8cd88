package upstreamtest

import (
	"encoding/json"
	"net/http"
)

func (r *Registry) serveRegistry(w http.ResponseWriter, hr *http.Request) {
	q := r.route(hr)
	a := r.observe(w, q, r.registry)
	defer a.done()
	a.Header().Set("Docker-Distribution-Api-Version", "registry/2.0")
	switch q.kind {
	case Ping: // a client pings to get a challenge, so faults come first
		if a.misbehave() || !r.authorize(a, q) {
			return
		}
		a.json(http.StatusOK, "application/json", struct{}{})
	case Token:
		r.serveToken(a, q)
	case Other:
		if q.Method != http.MethodGet && q.Method != http.MethodHead {
			a.fail(http.StatusMethodNotAllowed)
		} else {
			a.fail(http.StatusNotFound)
		}
	default: // a fault hits a request that would have been served, not one that gets a challenge
		if !r.authorize(a, q) || a.misbehave() {
			return
		}
		r.serveContent(a, q)
	}
}

func (r *Registry) serveContent(a *answer, q *request) {
	if !r.exists(q.repo) {
		a.error(http.StatusNotFound, "NAME_UNKNOWN", "repository name not known to registry")
		return
	}
	switch q.kind {
	case ManifestHead, ManifestGet:
		r.serveManifest(a, q)
	case BlobHead, BlobGet:
		r.serveBlob(a, q)
	case Tags:
		r.serveTags(a, q)
	case Referrers:
		r.serveReferrers(a, q)
	}
}

// fail answers with the error for a status.
func (a *answer) fail(status int) {
	code := "UNKNOWN"
	switch status {
	case http.StatusUnauthorized:
		code = "UNAUTHORIZED"
	case http.StatusForbidden:
		code = "DENIED"
	case http.StatusNotFound:
		code = a.unknown()
	case http.StatusMethodNotAllowed:
		code = "UNSUPPORTED"
	case http.StatusTooManyRequests:
		code = "TOOMANYREQUESTS"
	}
	a.error(status, code, http.StatusText(status))
}

func (a *answer) unknown() string {
	switch a.q.kind {
	case ManifestHead, ManifestGet, Referrers:
		return "MANIFEST_UNKNOWN"
	case BlobHead, BlobGet, CDNGet:
		return "BLOB_UNKNOWN"
	default:
		return "NAME_UNKNOWN"
	}
}

func (a *answer) error(status int, code, message string) {
	type item struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	}
	a.json(status, "application/json", map[string][]item{"errors": {{code, message}}})
}

func (a *answer) json(status int, mediaType string, body any) {
	data, err := json.Marshal(body)
	if err != nil {
		panic(err) // only our own structs come here
	}
	a.bytes(status, mediaType, data)
}
