package mirror

import (
	"errors"
	"fmt"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot-io/entrepot/upstream"
)

// Names, so that callers of this package need not import package upstream for them.
type (
	// Repository is the name of a repository in a registry.
	Repository = upstream.Repository
	// Reference names a manifest in a repository.
	Reference = upstream.Reference
	// UpstreamError is why an upstream did not return the content.
	UpstreamError = upstream.Error
)

// ParseReference parses a tag or digest from a client.
func ParseReference(s string) (Reference, error) { return upstream.ParseReference(s) }

// ParseDigest parses a digest from a client.
func ParseDigest(s string) (digest.Digest, error) { return upstream.ParseDigest(s) }

var (
	// ErrNotMirrored means that the client's registry is not among the upstreams. The client should go to the origin.
	ErrNotMirrored = errors.New("registry is not mirrored here")
	// ErrName means that the repository's name is malformed.
	ErrName = errors.New("invalid repository name")
)

// Choose returns the repository with a name from a request's path: of the upstream that ns names (the distribution spec's
// parameter for proxies, sent by containerd and BuildKit), otherwise of the one that the path's first segment names, otherwise
// of the default upstream. Both are keys to look up, never hosts to dial. Errors: ErrNotMirrored, ErrName.
func (m *Mirror) Choose(ns, name string) (Repository, error) {
	first, rest, hasRest := strings.Cut(name, "/")
	first = upstream.CanonicalRegistry(first)
	registry, path := upstream.CanonicalRegistry(ns), name
	switch {
	case registry != "":
		// A client with a path for each upstream sends both.
		if hasRest && first == registry {
			path = rest
		}
	case hasRest && m.upstreams[first] != nil:
		registry, path = first, rest
	default:
		registry = m.Upstreams[0].Name()
		if registry == upstream.DockerHub && hasRest && strings.ContainsAny(first, ".:") {
			// No name in Docker Hub looks like a host, so the client means a registry that is not mirrored.
			return Repository{}, fmt.Errorf("%w: %s", ErrNotMirrored, first)
		}
	}
	if m.upstreams[registry] == nil {
		return Repository{}, fmt.Errorf("%w: %s", ErrNotMirrored, registry)
	}
	repo, err := upstream.ParseRepository(registry, path)
	if err != nil {
		return Repository{}, fmt.Errorf("%w: %w", ErrName, err)
	}
	return repo, nil
}

func (m *Mirror) upstream(repo Repository) *upstream.Registry { return m.upstreams[repo.Registry()] }
