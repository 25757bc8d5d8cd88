package upstream

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
)

// demands are what an endpoint requires of requests.
type demands struct {
	challenges []*challenge // none if it requires nothing
	scopes     []string     // named for requests outside of repositories
}

// authorizer is the round tripper that answers an endpoint's challenges. It sits below the client's redirects and adds
// credentials only to requests to the endpoint itself, so that none reach the host that a blob is redirected to.
type authorizer struct{ e *endpoint }

func (a authorizer) RoundTrip(req *http.Request) (*http.Response, error) {
	e := a.e
	j := journeyOf(req.Context())
	if !e.isOwn(req.URL) {
		resp, _, err := a.send(req, "", j.allow)
		return resp, err
	}
	if req.Response != nil && isSigned(req.URL) {
		resp, _, err := a.send(req, "", anywhere)
		return resp, err
	}
	wants, err := e.demands(req.Context())
	if err != nil {
		return nil, err
	}
	var given authorization
	// A redirect to the endpoint's own host may lead to its storage, which may require other authorization and then
	// challenges.
	if req.Response == nil || strings.HasPrefix(req.URL.Path, e.apiPath()) && req.URL.RawQuery == "" {
		if given, err = e.authorization(req.Context(), wants, j.scope); err != nil {
			return nil, err
		}
	}
	resp, allow, err := a.send(req, given.header, anywhere)
	if err != nil {
		return nil, err
	}
	challenges := readChallenges(resp, req.URL, allow)
	if len(challenges) == 0 {
		return resp, nil
	}
	wants = &demands{challenges, wants.scopes}
	e.wants.Store(wants)
	e.tokens.drop(given.scopes, given.token)
	again, err := e.authorizationFor(req.Context(), wants, j.scope)
	if err != nil {
		resp.Body.Close()
		return nil, err
	}
	if again.header == "" || again.header == given.header {
		return resp, nil // there is no other credential
	}
	resp.Body.Close()
	resp, _, err = a.send(req, again.header, anywhere)
	return resp, err
}

// send sends a request, and returns the addresses that the response may redirect to.
func (a authorizer) send(req *http.Request, authorization string, allow reach) (*http.Response, reach, error) {
	if authorization != "" {
		req = req.Clone(req.Context())
		req.Header.Set("Authorization", authorization)
	}
	r := &route{allow: allow}
	resp, err := routed(a.e.rt, req, r)
	if err != nil {
		return nil, 0, err
	}
	beyond := r.beyond(req.URL.Hostname())
	if j := journeyOf(req.Context()); j != nil {
		j.allow = beyond
	}
	if resp.Request == nil {
		resp.Request = req
	}
	if err := checkLocation(resp); err != nil {
		resp.Body.Close()
		return nil, 0, err
	}
	return resp, beyond, nil
}

// pingError is a failure to learn an endpoint's demands. It concerns the endpoint, whatever the request was for.
type pingError struct{ error }

func (e *pingError) Unwrap() error { return e.error }

// demands asks the endpoint once for its demands, so that no request that counts as a pull is wasted on a challenge.
// Distribution spec, "Determining Support".
func (e *endpoint) demands(ctx context.Context) (*demands, error) {
	if w := e.wants.Load(); w != nil {
		return w, nil
	}
	if err := e.asking.Acquire(ctx, 1); err != nil {
		return nil, err
	}
	defer e.asking.Release(1)
	if w := e.wants.Load(); w != nil {
		return w, nil
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, e.url("", nil), nil)
	if err != nil {
		return nil, err
	}
	e.address(req)
	r := &route{allow: anywhere}
	resp, err := routed(e.rt, req, r)
	if err != nil {
		return nil, &pingError{err}
	}
	resp.Body.Close()
	w := &demands{challenges: readChallenges(resp, e.base, r.beyond(e.base.Hostname()))}
	if len(w.challenges) > 0 {
		w.scopes = w.challenges[0].scopes
	}
	if resp.StatusCode < http.StatusInternalServerError && !throttles(resp.StatusCode) {
		e.wants.Store(w)
	}
	return w, nil
}

// authorization is the authorization of a request.
type authorization struct {
	header string   // the header's value; empty for none
	token  string   // in the header, if any
	scopes []string // of the token
}

// authorizationFor answers challenges to a request for a repository, with the scopes that they name.
func (e *endpoint) authorizationFor(ctx context.Context, w *demands, usual string) (authorization, error) {
	e.tokens.name(usual, w.challenges[0].scopes)
	return e.authorization(ctx, w, usual)
}

// authorization answers the first supported challenge. The error says why a credential was not sent.
func (e *endpoint) authorization(ctx context.Context, w *demands, usual string) (authorization, error) {
	if len(w.challenges) == 0 {
		return authorization{}, nil
	}
	found, err := authn.Authorization(ctx, e.auth)
	if err != nil {
		return authorization{}, fmt.Errorf("get the credential for %s: %w", e.reg, err)
	}
	credential := *found
	var withheld error
	for _, c := range w.challenges {
		switch {
		case c.scheme == "bearer" && credential.RegistryToken != "":
			return authorization{header: "Bearer " + credential.RegistryToken}, nil
		case c.scheme == "bearer" && credential != (authn.AuthConfig{}) && !sameSite(e.base.Host, c.realm):
			// CVE-2026-33540: a registry must not be able to direct its credential to any host.
			withheld = unusable("not sending the credential for %s to the token service %s, which belongs to another site",
				e.reg, printable(c.realm.Host, 100))
		case c.scheme == "bearer":
			scopes := e.tokens.scopes(usual, w.scopes)
			token, err := e.tokens.get(ctx, c, scopes, credential)
			if err != nil {
				return authorization{}, err
			}
			return authorization{header: "Bearer " + token, token: token, scopes: scopes}, nil
		case c.scheme == "basic" && (credential.Username != "" || credential.Auth != ""):
			return authorization{header: basicAuthorization(credential)}, nil
		}
	}
	return authorization{}, withheld
}
