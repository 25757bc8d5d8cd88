package upstreamtest

import (
	"cmp"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// service is the name of the registry in challenges and at the token service.
const service = "registry.upstreamtest"

func (r *Registry) serveTokenHost(w http.ResponseWriter, hr *http.Request) {
	q := &request{Request: hr, kind: Other}
	if hr.URL.Path == "/token" && hr.Method == http.MethodGet {
		q = routeToken(hr)
	}
	a := r.observe(w, q, r.token)
	defer a.done()
	if q.kind != Token {
		a.fail(http.StatusNotFound)
		return
	}
	r.serveToken(a, q)
}

// serveToken gives anyone a token. Only the password gets one for private repositories.
func (r *Registry) serveToken(a *answer, q *request) {
	if a.misbehave() {
		return
	}
	user := q.Header.Get("Authorization") != ""
	if user {
		name, password, _ := q.BasicAuth()
		if r.opts.Username == "" || name != r.opts.Username || password != r.opts.Password {
			a.error(http.StatusUnauthorized, "UNAUTHORIZED", "incorrect username or password")
			return
		}
	}
	now, life := r.opts.Now(), r.opts.ExpiresIn
	body := map[string]any{"issued_at": now.UTC().Format(time.RFC3339)}
	switch {
	case life == 0:
		life = 5 * time.Minute
		fallthrough
	case life > 0:
		seconds := int64((life + time.Second - 1) / time.Second)
		body["expires_in"] = json.RawMessage(fmt.Sprintf(cmp.Or(r.opts.ExpiresFormat, "%d"), seconds))
	default:
		life = time.Minute
	}
	token := rand.Text()
	body["access_token"] = token
	if !r.opts.AccessToken {
		body["token"] = token
	}
	r.mu.Lock()
	r.tokens[token] = pass{repos: scopes(q.Request), user: user, expires: now.Add(life)}
	r.mu.Unlock()
	a.json(http.StatusOK, "application/json", body)
}

// scopes lists the repositories of the requested pull scopes, in repeated parameters or in one with spaces.
func scopes(hr *http.Request) []string {
	var repos []string
	for _, scope := range strings.Fields(strings.Join(hr.URL.Query()["scope"], " ")) {
		name, isRepo := strings.CutPrefix(scope, "repository:")
		colon := strings.LastIndexByte(name, ':')
		if isRepo && colon > 0 && strings.Contains(name[colon:], "pull") {
			repos = append(repos, name[:colon])
		}
	}
	return repos
}
