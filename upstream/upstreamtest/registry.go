package upstreamtest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
)

// Options say how a registry behaves without faults. The zero value is an open registry that serves its blobs itself.
type Options struct {
	// Host, TokenHost and CDNHost are the addresses to listen on. Without a port, a free one is used. If empty, they are
	// 127.0.0.2 for the registry, the registry's host and port for the token service, and 127.0.0.3 for the CDN.
	Host, TokenHost, CDNHost string

	// Auth requires a bearer token for every request. Anyone can get one. As on Docker Hub, a missing repository then
	// answers 401, like one that the token does not cover. Without Auth it answers 404.
	Auth bool
	// Username and Password are the credential that the token service accepts. Without them it expects no Authorization.
	Username, Password string
	// Private lists repositories that need a token for the password. They need Auth and a Username.
	Private []string
	// Realm replaces the URL of the registry's own token service in challenges.
	Realm string
	// ScopePrefix precedes the repository's name in the scopes of challenges and tokens, as in registries whose token
	// service has other names for repositories.
	ScopePrefix string
	// Challenges replace the WWW-Authenticate header of Auth. In them, {bearer} stands for that header.
	Challenges []string
	// Basic also accepts the password at the registry itself.
	Basic bool
	// ExpiresFormat formats expires_in as JSON, with a verb for whole seconds. If empty, it is %d.
	ExpiresFormat string
	// ExpiresIn is how long a token is valid. It is announced in whole seconds, rounded up. 0 means 5 minutes, as on Docker
	// Hub. Below 0, a token is valid for the 60 s that clients assume, and nothing is announced.
	ExpiresIn time.Duration
	// AccessToken sends the token only as access_token, like some token services. By default, it is also sent as token.
	AccessToken bool

	// CDN redirects a GET of a blob by 307 to a URL on the CDN. The URL is valid for 20 minutes unless a fault changes that.
	CDN bool
	// CDNName is the host name in those URLs, for clients that refuse redirects to literal loopback addresses. The client
	// must resolve it to CDNHost. If empty, the URLs contain the address.
	CDNName string

	// NoReferrers removes the referrers API, which then answers 404.
	NoReferrers bool
	// PageSize limits the entries of one page of tags or referrers. 0 means no limit.
	PageSize int
	// DefaultPage limits them if the client does not send n. 0 means PageSize.
	DefaultPage int
	// StrictPages answers 400 if n exceeds PageSize, like distribution. By default, the page is just shorter.
	StrictPages bool
	// LinkHost makes the links to next pages absolute, with this host. If empty, they are paths.
	LinkHost string
	// RateLimit limits the number of GETs of manifests. Later ones get 429, and manifests have Docker Hub's headers. HEADs
	// are free. 0 means no limit and no headers.
	RateLimit int

	// Seed varies the content of Image and Index, which is otherwise the same in every registry. See also Random.
	Seed uint64
	// Now is the clock by which tokens and URLs expire. nil means time.Now. It must be safe for concurrent use.
	Now func() time.Time
}

// Registry is a running registry. It is safe for concurrent use.
type Registry struct {
	// Faults says how the registry misbehaves.
	Faults Faults

	opts   Options
	ledger ledger
	pulls  atomic.Int64 // GETs of manifests so far, for the rate limit

	registry, token, cdn *site // token may be registry; cdn may be nil
	life                 sync.Mutex
	stop                 context.CancelFunc // nil while stopped

	mu     sync.RWMutex
	repos  map[string]*repository
	seed   uint64
	tokens map[string]pass
	urls   map[string]*signedURL
}

type repository struct {
	tags      map[string]digest.Digest
	manifests map[digest.Digest]manifest
	blobs     map[digest.Digest]Content
}

// New starts a registry that listens until Stop.
func New(opts Options) (*Registry, error) {
	if len(opts.Private) > 0 && (!opts.Auth || opts.Username == "") {
		return nil, errors.New("private repositories need Auth and a Username")
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	r := &Registry{
		opts:   opts,
		seed:   opts.Seed << 32, // so that two seeds never produce the same content
		repos:  map[string]*repository{},
		tokens: map[string]pass{},
		urls:   map[string]*signedURL{},
	}
	r.ledger.reset()
	r.registry = &site{addr: withPort(opts.Host, "127.0.0.2"), handler: r.serveRegistry}
	r.token = r.registry
	if opts.TokenHost != "" {
		r.token = &site{addr: withPort(opts.TokenHost, ""), handler: r.serveTokenHost}
	}
	if opts.CDN {
		r.cdn = &site{addr: withPort(opts.CDNHost, "127.0.0.3"), handler: r.serveCDN}
	}
	return r, r.Restart()
}

// Start is New for a test. The registry stops when the test ends.
func Start(t testing.TB, opts Options) *Registry {
	t.Helper()
	r, err := New(opts)
	if err != nil {
		t.Fatalf("start an upstream registry: %v", err)
	}
	t.Cleanup(r.Stop)
	return r
}

// Host returns the registry's address and port, as in the name of an image.
func (r *Registry) Host() string { return r.registry.addr }

// URL returns the registry's address as a URL, without a path.
func (r *Registry) URL() string { return "http://" + r.Host() }

// TokenHost returns the address and port of the token service: Host, unless Options.TokenHost is set.
func (r *Registry) TokenHost() string { return r.token.addr }

// CDNHost returns the address and port of the CDN, empty if there is none.
func (r *Registry) CDNHost() string {
	if r.cdn == nil {
		return ""
	}
	return r.cdn.addr
}

// Stop takes the registry, its token service and its CDN off the network: it cuts open connections, and refuses new ones.
// Content, tokens, faults and counts stay. It waits until no handler runs.
func (r *Registry) Stop() {
	r.life.Lock()
	defer r.life.Unlock()
	if r.stop == nil {
		return
	}
	r.stop()
	r.stop = nil
	for _, s := range r.sites() {
		s.close()
	}
}

// Restart starts a stopped registry on the same addresses and ports. It does nothing while the registry runs.
func (r *Registry) Restart() error {
	r.life.Lock()
	defer r.life.Unlock()
	if r.stop != nil {
		return nil
	}
	ctx, cancel := context.WithCancel(context.Background())
	for i, s := range r.sites() {
		if err := s.open(ctx, &r.ledger); err != nil {
			cancel()
			for _, opened := range r.sites()[:i] {
				opened.close()
			}
			return fmt.Errorf("listen on %s: %w", s.addr, err)
		}
	}
	r.stop = cancel
	return nil
}

func (r *Registry) sites() []*site {
	sites := []*site{r.registry}
	if r.token != r.registry {
		sites = append(sites, r.token)
	}
	if r.cdn != nil {
		sites = append(sites, r.cdn)
	}
	return sites
}
