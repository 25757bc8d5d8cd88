package upstream

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/maypok86/otter/v2"
	"golang.org/x/sync/singleflight"

	"github.com/entrepot-io/entrepot/bounded"
)

const (
	// defaultTokenLife applies if a token service does not report one, as the token specification says.
	defaultTokenLife = 60 * time.Second
	// tokenTimeout limits one exchange.
	tokenTimeout = 10 * time.Second
	// maxTokens and maxScopes limit in bytes the tokens cached for one endpoint, one per repository in use, and the scopes
	// that its challenges name.
	maxTokens = 16 << 20
	maxScopes = 1 << 20
)

// tokens fetches and caches the bearer tokens of one endpoint, one per scope. A credential belongs to its endpoint, so of
// (registry, credential, scope) the scope is enough as the key.
type tokens struct {
	registry *url.URL
	rt       http.RoundTripper
	agent    string
	memory   *bounded.Share

	kept    *otter.Cache[string, string] // scopes -> token
	named   *otter.Cache[string, string] // a repository's usual scope -> the scopes in its challenge
	flights singleflight.Group
}

func weigh(key, value string) uint32 { return uint32(len(key) + len(value) + 64) }

func newTokens(registry *url.URL, rt http.RoundTripper, agent string, memory *bounded.Share) *tokens {
	return &tokens{
		registry: registry,
		rt:       rt,
		agent:    agent,
		memory:   memory,
		kept: otter.Must(&otter.Options[string, string]{
			MaximumWeight:    maxTokens,
			Weigher:          weigh,
			ExpiryCalculator: otter.ExpiryWriting[string, string](defaultTokenLife),
		}),
		named: otter.Must(&otter.Options[string, string]{MaximumWeight: maxScopes, Weigher: weigh}),
	}
}

// scopes returns the scopes to request for a repository: those that the registry named for it, or else the usual one and
// those that the registry named for itself.
func (t *tokens) scopes(usual string, general []string) []string {
	if named, ok := t.named.GetIfPresent(usual); ok {
		return strings.Fields(named)
	}
	scopes := []string{usual}
	for _, s := range general {
		if s != usual {
			scopes = append(scopes, s)
		}
	}
	return scopes
}

// name caches the scopes that a challenge names for a repository.
func (t *tokens) name(usual string, scopes []string) {
	if named := strings.Join(scopes, " "); named != "" && named != usual {
		t.named.Set(usual, named)
	} else {
		t.named.Invalidate(usual)
	}
}

// get returns the token for scopes, from the cache or in exchange for the credential. Concurrent calls for the same scopes
// share the exchange, which continues if the first caller leaves.
func (t *tokens) get(ctx context.Context, c *challenge, scopes []string, credential authn.AuthConfig) (string, error) {
	key := strings.Join(scopes, " ")
	if token, ok := t.kept.GetIfPresent(key); ok {
		return token, nil
	}
	flight := t.flights.DoChan(key, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tokenTimeout)
		defer cancel()
		return t.exchange(ctx, c, scopes, credential)
	})
	select {
	case <-ctx.Done():
		return "", ctx.Err()
	case r := <-flight:
		if r.Err != nil {
			return "", r.Err
		}
		return r.Val.(string), nil
	}
}

func (t *tokens) exchange(ctx context.Context, c *challenge, scopes []string, credential authn.AuthConfig) (string, error) {
	token, life, err := exchange{t.rt, t.agent, t.memory, t.registry, c, scopes, credential}.token(ctx)
	if err != nil {
		return "", fmt.Errorf("get a token for %s: %w", printable(strings.Join(scopes, " "), 200), err)
	}
	key := strings.Join(scopes, " ")
	t.kept.Set(key, token)
	// Forget the token a little early: it must still be valid by the upstream's clock when it arrives.
	t.kept.SetExpiresAfter(key, life-min(life/5, 30*time.Second))
	return token, nil
}

// drop forgets a token that the registry rejected, unless another has already replaced it.
func (t *tokens) drop(scopes []string, token string) {
	key := strings.Join(scopes, " ")
	if kept, ok := t.kept.GetIfPresent(key); ok && kept == token {
		t.kept.Invalidate(key)
	}
}
