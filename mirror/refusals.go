package mirror

import (
	"errors"
	"time"

	"github.com/maypok86/otter/v2"
	"github.com/opencontainers/go-digest"
)

// refusals remembers for a short time which content an upstream does not have or refuses, so that repeated requests for it do not
// cost a round trip each.
type refusals struct {
	ttl  time.Duration
	now  func() time.Time
	kept *otter.Cache[string, refusal]
}

type refusal struct {
	err  error
	till time.Time
}

// maxRefusals limits the number of remembered refusals.
const maxRefusals = 5_000

func newRefusals(ttl time.Duration, now func() time.Time) refusals {
	return refusals{ttl, now, otter.Must(&otter.Options[string, refusal]{MaximumSize: maxRefusals})}
}

// of returns the error of a recent refusal, or nil.
func (r refusals) of(key string) error {
	if kept, ok := r.kept.GetIfPresent(key); ok && r.now().Before(kept.till) {
		return kept.err
	}
	return nil
}

// learn remembers the outcome of a request to an upstream.
func (r refusals) learn(key string, err error) {
	failed := new(UpstreamError)
	switch {
	case errors.As(err, &failed) && (failed.NotFound() || failed.Denied()), errors.Is(err, errScarce):
		r.remember(key, err)
	case err == nil:
		r.kept.Invalidate(key)
	}
}

// remember remembers a refusal, whatever the error.
func (r refusals) remember(key string, err error) {
	r.kept.Set(key, refusal{err, r.now().Add(r.ttl)})
}

// contentName returns the key for requests and refusals of content. It names the repository, since another one may have it.
func contentName(kind string, repo Repository, d digest.Digest) string {
	return kind + " " + repo.String() + "@" + d.String()
}
