package upstreamtest

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// pass is what a token permits.
type pass struct {
	repos   []string // may be pulled
	user    bool     // issued for the password
	expires time.Time
}

// authorize reports whether a request may proceed. If not, it answers with a challenge.
func (r *Registry) authorize(a *answer, q *request) bool {
	if !r.opts.Auth {
		return true
	}
	if name, password, ok := q.BasicAuth(); ok && r.opts.Basic && name == r.opts.Username && password == r.opts.Password {
		return true
	}
	reason := ""
	if token, ok := strings.CutPrefix(q.Header.Get("Authorization"), "Bearer "); ok {
		r.mu.RLock()
		p, known := r.tokens[token]
		r.mu.RUnlock()
		switch {
		case !known || !r.opts.Now().Before(p.expires):
			reason = "invalid_token"
		case q.repo != "" && !r.permits(p, q.repo):
			reason = "insufficient_scope"
		default:
			return true
		}
	}
	r.challengeIn(a.Header(), q.repo, reason)
	a.error(http.StatusUnauthorized, "UNAUTHORIZED", "authentication required")
	return false
}

func (r *Registry) permits(p pass, repo string) bool {
	return slices.Contains(p.repos, r.opts.ScopePrefix+repo) && r.exists(repo) && (p.user || !slices.Contains(r.opts.Private, repo))
}

// challengeIn sets the headers of a challenge.
func (r *Registry) challengeIn(h http.Header, repo, reason string) {
	bearer := r.challenge(repo, reason)
	if len(r.opts.Challenges) == 0 {
		h.Set("WWW-Authenticate", bearer)
	}
	for _, c := range r.opts.Challenges {
		h.Add("WWW-Authenticate", strings.ReplaceAll(c, "{bearer}", bearer))
	}
}

// challenge returns the header's value. repo and reason may be empty.
func (r *Registry) challenge(repo, reason string) string {
	realm := r.opts.Realm
	if realm == "" {
		realm = "http://" + r.TokenHost() + "/token"
	}
	c := fmt.Sprintf("Bearer realm=%q,service=%q", realm, service)
	if repo != "" {
		c += fmt.Sprintf(",scope=%q", "repository:"+r.opts.ScopePrefix+repo+":pull")
	}
	if reason != "" {
		c += fmt.Sprintf(",error=%q", reason)
	}
	return c
}
