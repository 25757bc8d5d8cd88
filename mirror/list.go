package mirror

import (
	"context"
	"errors"
	"net/url"
	"time"

	"github.com/maypok86/otter/v2"
	"github.com/opencontainers/go-digest"

	"github.com/entrepot-io/entrepot/bounded"
	"github.com/entrepot-io/entrepot/mirror/ability"
	"github.com/entrepot-io/entrepot/upstream"
)

const (
	// maxListRecord limits a list's record in bytes. The record is slightly larger than the list.
	maxListRecord = 2*upstream.MaxWhole + 64<<10
	// maxIndex limits the index of a referrer list, without its manifests, in bytes.
	maxIndex = 64 << 10
	// wholeTimeout is how long a client waits for a whole list without a record. Then a page is passed through.
	wholeTimeout = 8 * time.Second
	// listTimeout is the time from the client's request until such a page must be there.
	listTimeout = 18 * time.Second
	// passedLife is how long a list is passed through before entrepot tries again to fetch it whole.
	passedLife = 24 * time.Hour
	// slowLife is how long a stored list is served while its upstream is too slow to send the whole list.
	slowLife = time.Hour
)

// List is one page of tags or referrers for a client. With an error that there is no list, Freshness is that of the error.
type List struct {
	Body      Body
	MediaType string
	Next      url.Values // the query for the next page; nil if this is the last
	Filtered  bool       // by the artifact types in the query
	Freshness
}

// Tags returns a page of a repository's tags. Errors: *UpstreamError, ErrPage, the store's, the context's.
func (m *Mirror) Tags(ctx context.Context, repo Repository, q ListQuery) (List, error) {
	began := time.Now()
	s := subject{repo: repo, key: m.realm.TagList(repo.Registry(), repo.Path()), ttl: m.TagTTL}
	f, err := m.tagLists.resolve(ctx, s, q.Revalidate)
	fresh := Freshness{f.stale, f.checked}
	if err != nil {
		return List{Freshness: fresh}, err
	}
	if f.answer.Passed {
		page, err := m.passed(ctx, began, s, q, func(ctx context.Context) (upstream.List, error) {
			return m.upstream(repo).Tags(ctx, repo, q.URL)
		})
		return page.list(), err
	}
	list, err := q.tags(f.answer)
	list.Freshness = fresh
	return list, err
}

// Referrers returns a page of the manifests that refer to a digest, filtered if the query has an artifactType. If the upstream
// does not have this API, the error is an *UpstreamError that is NotFound: clients then fall back to a tag. Errors:
// *UpstreamError, ErrPage, the store's, the context's.
func (m *Mirror) Referrers(ctx context.Context, repo Repository, d digest.Digest, q ListQuery) (List, error) {
	began := time.Now()
	s := subject{repo: repo, name: d.String(), key: m.realm.ReferrerList(repo.Registry(), repo.Path(), d), ttl: m.TagTTL}
	f, err := m.referrerLists.resolve(ctx, s, q.Revalidate)
	fresh := Freshness{f.stale, f.checked}
	switch {
	case err != nil:
		return List{Freshness: fresh}, err
	case f.answer.NoAPI:
		return List{Freshness: fresh}, m.absent(repo, "", "it has no referrers API")
	case f.answer.Absent:
		return List{Freshness: fresh}, m.absent(repo, "MANIFEST_UNKNOWN", "it knows no referrers of "+d.String())
	case !f.answer.Passed:
		list, err := q.referrers(f.answer)
		list.Freshness = fresh
		return list, err
	}
	page, err := m.passed(ctx, began, s, q, func(ctx context.Context) (upstream.List, error) {
		return m.upstream(repo).Referrers(ctx, repo, d, q.URL)
	})
	list := page.list()
	if types := q.URL["artifactType"]; err == nil && len(types) > 0 && !list.Filtered {
		if list.Body, err = page.filter(types); err != nil {
			err = &UpstreamError{Registry: repo.Registry(), Err: errors.Join(upstream.ErrBadContent, err)}
		}
		list.Filtered = true
	}
	return list, err
}

// newLists returns the records of one kind of list. weight returns the memory that a value takes, in bytes.
func newLists[V, A any](m *Mirror, kind kind[V, A], noun string, decode func(bounded.JSON) (V, error),
	encode func(V) ([][]byte, error), weight func(V) int) *records[V, A] {
	return &records[V, A]{
		m:       m,
		kind:    kind,
		purpose: ability.Lists,
		most:    maxListRecord,
		decode:  decode,
		encode:  encode,
		noun:    noun,
		events: events{
			damaged: "list in the bucket cannot be read", notStored: "list not stored", notRevalidated: "list not revalidated",
		},
		questions: newQuestions[found[A]](),
		copies: otter.Must(&otter.Options[string, *record[V]]{
			MaximumWeight: uint64(m.Manifests / 4),
			Weigher:       func(key string, r *record[V]) uint32 { return uint32(len(key) + weight(r.value) + 512) },
		}),
	}
}

// passesThrough reports whether to pass a list through from now on, since fetching it whole failed with err. If the upstream was
// only slow and the list is stored (known), it is kept for slowLife.
func passesThrough[V, A any](k *records[V, A], s subject, known bool, err error) bool {
	if !errors.Is(err, upstream.ErrNotWhole) {
		return false
	}
	if kept, ok := k.copies.GetIfPresent(s.key); known && errors.Is(err, upstream.ErrTooSlow) &&
		(!ok || elapsed(kept.asked, k.m.Now()) < slowLife) {
		return false
	}
	k.m.Log.Info("list passed through", append(k.about(s), "reason", err)...)
	return true
}

// notWhole makes an error that a list could not be fetched whole an *UpstreamError, so that a stored list is served stale.
func notWhole(s subject, err error) error {
	if errors.Is(err, upstream.ErrNotWhole) {
		return &UpstreamError{Registry: s.repo.Registry(), Err: err}
	}
	return err
}
