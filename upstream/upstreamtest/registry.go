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

// Options say how a registry behaves while it has no fault. The zero value is an open registry that serves its blobs
// itself.
type Options struct {
	// Host, TokenHost and CDNHost are the addresses to listen on, with a port or without (a free one is taken). Empty
	// means 127.0.0.2 for the registry, the registry's own host and port for the token service, and 127.0.0.3 for the
	// CDN.
	Host, TokenHost, CDNHost string

	// Auth asks for a bearer token everywhere; anyone gets one. As on Docker Hub, a repository that does not exist is
	// then answered 401 like one that may not be read; without Auth it is 404.
	Auth bool
	// Username and Password are what the token service knows. Without them it expects no Authorization at all.
	Username, Password string
	// Private are the repositories that only a token got with the password opens. They need Auth and a Username.
	Private []string
	// Realm is named in challenges in place of the registry's own token service.
	Realm string
	// ScopePrefix stands before the repository's name in the scope that challenges name, and that tokens must have been
	// asked for: a registry whose token service knows its repositories by other names.
	ScopePrefix string
	// Challenges are the WWW-Authenticate headers in place of the one that Auth asks for, in which {bearer} stands for
	// that one.
	Challenges []string
	// Basic lets in who sends the password to the registry itself.
	Basic bool
	// ExpiresFormat writes expires_in in JSON, with a verb for whole seconds; empty is %d.
	ExpiresFormat string
	// ExpiresIn is how long a token lives. It is announced in whole seconds, rounded up. 0 is the 5 minutes of Docker
	// Hub; below 0 nothing is announced, which means 60 s to clients, and that is how long it lives.
	ExpiresIn time.Duration
	// AccessToken answers with access_token only, as some token services do, in place of both it and token.
	AccessToken bool

	// CDN answers a GET of a blob with 307 to a URL on the CDN, valid for 20 minutes unless a fault says otherwise.
	CDN bool
	// CDNName is the host name in those URLs, for clients that refuse a redirect to a literal loopback address; the
	// client has to resolve it to CDNHost. Empty means the address.
	CDNName string

	// NoReferrers leaves out the referrers API: 404.
	NoReferrers bool
	// PageSize is the most that one page of tags or referrers holds; 0 is no limit.
	PageSize int
	// DefaultPage is what one page holds if the client does not say how many it wants; 0 is PageSize.
	DefaultPage int
	// StrictPages refuses an n above PageSize with 400, as distribution does, in place of giving fewer.
	StrictPages bool
	// LinkHost is the host in the Links to next pages: they are absolute URLs then. Empty: they are paths.
	LinkHost string
	// RateLimit is how many GETs of manifests are answered; later ones get 429. HEADs are free. Manifests then carry
	// Docker Hub's headers. 0 is no limit and no headers.
	RateLimit int

	// Seed varies the content of Image and Index, which else is the same in every registry. See also Random.
	Seed uint64
	// Now is the clock by which tokens and URLs expire; nil is time.Now. It must be safe for concurrent use.
	Now func() time.Time
}

// Registry is a running registry. It is safe for concurrent use.
type Registry struct {
	// Faults is how the registry misbehaves at present.
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
		seed:   opts.Seed << 32, // so that the content of two seeds never meets
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

// Start is New for a test: the registry stops when the test ends.
func Start(t testing.TB, opts Options) *Registry {
	t.Helper()
	r, err := New(opts)
	if err != nil {
		t.Fatalf("start an upstream registry: %v", err)
	}
	t.Cleanup(r.Stop)
	return r
}

// Host is the registry's address and port, as in the name of an image.
func (r *Registry) Host() string { return r.registry.addr }

// URL is the registry's address as a URL, without a path.
func (r *Registry) URL() string { return "http://" + r.Host() }

// TokenHost is the address and port of the token service; the registry's own unless Options.TokenHost moved it.
func (r *Registry) TokenHost() string { return r.token.addr }

// CDNHost is the address and port of the CDN; empty where there is none.
func (r *Registry) CDNHost() string {
	if r.cdn == nil {
		return ""
	}
	return r.cdn.addr
}

// Stop takes the registry, its token service and its CDN off the network: what is under way is cut, and new connections
// are refused. Content, tokens, faults and counts stay. It returns when no handler runs any more.
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

// Restart puts a stopped registry back on the addresses and ports that it had. It does nothing while it runs.
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
