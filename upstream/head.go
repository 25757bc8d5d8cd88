package upstream

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"
)

// errNoHint rejects a response to HEAD that does not describe the manifest.
var errNoHint = errors.New("response to HEAD has no digest or no length")

// HeadManifest asks by HEAD what a reference names. The response is only a hint: if it is unusable, the Descriptor has no
// digest, and GetManifest decides. If GetManifest contradicts an upstream's HEADs, the upstream gets none for a while.
// HeadManifest serves to revalidate known tags, so endpoints that do not respond get no such request. Error: *Error if no
// endpoint can be asked, or if it throttles.
func (r *Registry) HeadManifest(ctx context.Context, repo Repository, ref Reference) (Descriptor, error) {
	if !r.heads.useful() {
		return Descriptor{}, nil
	}
	q, odd := manifestRequest(http.MethodHead, repo, ref), false
	q.optional, q.odd = ref.Tag() != "", &odd
	var d Descriptor
	certain := false
	resp, err := r.send(ctx, q, func(_ *endpoint, resp *http.Response, _ bool) error {
		if !ok(resp) {
			certain = certain || !isFailure(resp.StatusCode)
			return errStatus
		}
		d = describe(resp, resp.ContentLength)
		if d.Digest == "" || d.Size <= 0 {
			certain = true
			return errNoHint
		}
		return nil
	})
	key := headKey(repo, ref)
	switch {
	case err == nil:
		resp.Body.Close()
		r.heads.said(key, d.Digest.String(), false)
		return d, nil
	case odd:
		r.heads.said(key, "", certain)
		return Descriptor{}, nil
	}
	return Descriptor{}, err
}

func headKey(repo Repository, ref Reference) string { return repo.String() + " " + ref.String() }

const (
	// maxContradictions is how often GET may contradict HEADs that failed like those of a failing server.
	maxContradictions = 3
	// contradictionLife is how long a contradiction counts.
	contradictionLife = 10 * time.Minute
	// uselessFor is how long an upstream without useful HEADs gets none.
	uselessFor = time.Hour
	// maxHints and hintLife limit the HEADs that are kept for comparison with a GET.
	maxHints = 1000
	hintLife = time.Minute
)

// heads remembers whether an upstream's responses to HEAD are useful. The zero value assumes that they are.
type heads struct {
	mu            sync.Mutex
	hints         map[string]hint // by repository and reference
	contradicted  int
	at            time.Time // of the last contradiction
	uselessBefore time.Time
}

// hint is the response to a HEAD.
type hint struct {
	digest  string // empty if there was none
	certain bool   // it does not look like a failing server
	at      time.Time
}

func (h *heads) useful() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return !time.Now().Before(h.uselessBefore)
}

func (h *heads) said(key, digest string, certain bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.hints == nil || len(h.hints) >= maxHints {
		h.hints = map[string]hint{}
	}
	h.hints[key] = hint{digest, certain, time.Now()}
}

// decided compares the digest from GET, empty if there is none, with the hint from a recent HEAD.
func (h *heads) decided(key, digest string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	said, ok := h.hints[key]
	delete(h.hints, key)
	now := time.Now()
	if !ok || digest == "" || now.Sub(said.at) > hintLife {
		return
	}
	if now.Sub(h.at) > contradictionLife {
		h.contradicted = 0
	}
	switch {
	case said.digest == digest:
		h.contradicted = 0
		return
	case said.digest != "" || said.certain:
		h.contradicted = maxContradictions
	default:
		h.contradicted++
	}
	h.at = now
	if h.contradicted >= maxContradictions {
		h.contradicted, h.uselessBefore = 0, now.Add(uselessFor)
	}
}
