package upstream

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/semaphore"

	"github.com/entrepot-io/entrepot/bounded"
)

// endpoint is one URL that serves an upstream's content.
type endpoint struct {
	base   *url.URL // scheme, host and perhaps a path before /v2/
	id     string   // derived from the upstream's name and base, the same in all processes
	reg    name.Registry
	auth   authn.Authenticator
	rt     http.RoundTripper
	tokens *tokens
	agent  string
	memory *bounded.Share
	health *health

	asking *semaphore.Weighted     // of one, held while the endpoint's demands are requested
	wants  atomic.Pointer[demands] // nil if unknown
	client *http.Client
}

func newEndpoint(base *url.URL, cfg Config) (*endpoint, error) {
	opts := []name.Option{name.WeakValidation}
	if base.Scheme == "http" {
		opts = append(opts, name.Insecure)
	}
	// Docker Hub's credential is stored under its old name, index.docker.io, to which docker.io leads.
	reg, err := name.NewRegistry(CanonicalRegistry(base.Host), opts...)
	if err != nil {
		return nil, err
	}
	auth, err := authn.Resolve(context.Background(), cfg.Keychain, reg)
	if err != nil {
		return nil, fmt.Errorf("find the credential for %s: %w", reg, err)
	}
	e := &endpoint{base: base, reg: reg, auth: auth, rt: cfg.Transport, agent: cfg.UserAgent, memory: cfg.Memory}
	e.id = digest.FromString(cfg.Name + " " + base.String()).Encoded()[:16]
	e.asking = semaphore.NewWeighted(1)
	e.health = newHealth(cfg.Name, base.String(), cfg.Budget)
	e.tokens = newTokens(base, cfg.Transport, cfg.UserAgent, cfg.Memory)
	e.client = &http.Client{Transport: authorizer{e}, CheckRedirect: e.checkRedirect}
	return e, nil
}

// url returns the URL of a path below /v2/.
func (e *endpoint) url(path string, query url.Values) string {
	u := *e.base
	u.Path = e.apiPath() + path
	u.RawQuery = query.Encode()
	return u.String()
}

// apiPath returns the path of the pull API.
func (e *endpoint) apiPath() string { return strings.TrimSuffix(e.base.Path, "/") + "/v2/" }

// isOwn reports whether a URL belongs to the endpoint, which alone receives the credential and the tokens.
func (e *endpoint) isOwn(u *url.URL) bool {
	return u.Scheme == e.base.Scheme && strings.EqualFold(u.Host, e.base.Host)
}

// journey is one request with its redirects.
type journey struct {
	scope string // of the token
	allow reach  // the addresses that the next request may go to, unless it goes to the endpoint itself
}

type journeyKey struct{}

func journeyOf(ctx context.Context) *journey {
	j, _ := ctx.Value(journeyKey{}).(*journey)
	return j
}

// do sends a request for content of a repository, authorized as the endpoint requires, and follows redirects. It goes to
// the endpoint itself or to an earlier redirect's target, with the addresses allowed there. The response body is decoded.
func (e *endpoint) do(ctx context.Context, method string, at location, repo Repository, header http.Header) (*http.Response, error) {
	j := &journey{scope: "repository:" + repo.Path() + ":pull", allow: at.allow}
	req, err := http.NewRequestWithContext(context.WithValue(ctx, journeyKey{}, j), method, at.url, nil)
	if err != nil {
		return nil, err
	}
	for k, v := range header {
		req.Header[k] = v
	}
	e.address(req)
	resp, err := e.client.Do(req)
	if err != nil {
		return nil, err
	}
	if err := decode(ctx, e.memory, resp); err != nil {
		resp.Body.Close()
		return nil, err
	}
	return resp, nil
}

// address adds the headers that every request has.
func (e *endpoint) address(req *http.Request) {
	req.Header.Set("User-Agent", e.agent)
	req.Header.Set("Accept-Encoding", "identity")
}
