package upstream

import (
	"fmt"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/entrepot-io/entrepot/bounded"
)

// Config configures an upstream.
type Config struct {
	Name      string            // as in image names: docker.io, ghcr.io, corp:5000
	Endpoints []*url.URL        // in order of preference; default: https:// and the name
	Keychain  authn.Keychain    // credentials by host; nil for none
	Transport http.RoundTripper // see NewTransport
	UserAgent string
	Downloads int            // concurrent downloads of parts of blobs, see Blob.Link; default 32
	Budget    time.Duration  // for a response, beyond which an endpoint is slow; default 3 s
	Reserve   float64        // share of a pull quota below which it is scarce: 0.1 is 10 %; 0 for never
	Memory    *bounded.Share // for bodies that are read whole; nil for no limit
	Offline   bool           // all requests fail with ErrOffline; Transport and Keychain are not used
}

// Registry is the client of one upstream. Its methods may be called concurrently. They return an *Error if the upstream's
// response, or the lack of one, is the reason.
type Registry struct {
	name      string
	endpoints []*endpoint
	downloads int // concurrent downloads of parts of blobs
	budget    time.Duration
	reserve   float64
	memory    *bounded.Share
	offline   bool
	// givesRanges is set once a request for a range got one.
	givesRanges atomic.Bool
	heads       heads
	doubts      doubts
}

// New returns the client of an upstream. It sends no requests.
func New(cfg Config) (*Registry, error) {
	if cfg.Offline {
		cfg.Transport, cfg.Keychain = offlineTransport{}, nil
	}
	if cfg.Keychain == nil {
		cfg.Keychain = authn.NewMultiKeychain()
	}
	if len(cfg.Endpoints) == 0 {
		cfg.Endpoints = []*url.URL{defaultEndpoint(cfg.Name)}
	}
	if cfg.Downloads == 0 {
		cfg.Downloads = 32
	}
	if cfg.Memory == nil {
		unlimited := bounded.Unlimited()
		cfg.Memory = unlimited.Share(unlimited.Size())
	}
	if cfg.Budget == 0 {
		cfg.Budget = 3 * time.Second
	}
	r := &Registry{
		name: cfg.Name, downloads: cfg.Downloads, budget: cfg.Budget, reserve: cfg.Reserve, memory: cfg.Memory, offline: cfg.Offline,
	}
	for _, u := range cfg.Endpoints {
		e, err := newEndpoint(u, cfg)
		if err != nil {
			return nil, fmt.Errorf("upstream %s: endpoint %s: %w", cfg.Name, u, err)
		}
		r.endpoints = append(r.endpoints, e)
	}
	return r, nil
}

func defaultEndpoint(name string) *url.URL {
	if name == DockerHub {
		name = "registry-1.docker.io"
	}
	return &url.URL{Scheme: "https", Host: name}
}

// Name returns the upstream's name, such as docker.io.
func (r *Registry) Name() string { return r.name }

// Endpoints returns the endpoints' URLs, in order of preference.
func (r *Registry) Endpoints() []string {
	var urls []string
	for _, e := range r.endpoints {
		urls = append(urls, e.base.String())
	}
	return urls
}
