package mirror

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/maypok86/otter/v2"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/bounded"
	"github.com/entrepot-io/entrepot/mirror/ability"
)

// apiLife is how long a missing API is not requested again.
const apiLife = 24 * time.Hour

// referrersAPI is whether a repository has the referrers API. A registry may have it for some repositories only: Artifactory and
// Nexus front registries of several makes.
type referrersAPI struct {
	Missing bool `json:"missing"`
}

// apis is a kind of subject that upstreams are never asked about: the answers to other questions show it.
type apis struct {
	kind[referrersAPI, struct{}]
}

func (apis) ttl(subject, referrersAPI) time.Duration { return apiLife }

func newReferrersAPIs(m *Mirror) *records[referrersAPI, struct{}] {
	return &records[referrersAPI, struct{}]{
		m:       m,
		kind:    apis{},
		purpose: ability.Lists,
		most:    maxTagRecord,
		decode:  decodeReferrersAPI,
		encode:  encodeFields[referrersAPI],
		noun:    "api",
		events:  events{damaged: "list in the bucket cannot be read", notStored: "list not stored"},
		copies: otter.Must(&otter.Options[string, *record[referrersAPI]]{
			MaximumWeight: maxAPIs,
			Weigher: func(key string, r *record[referrersAPI]) uint32 {
				return uint32(len(key)+len(r.version)+len(r.replaced)) + 256
			},
		}),
	}
}

func decodeReferrersAPI(record bounded.JSON) (api referrersAPI, err error) {
	err = json.Unmarshal(record, &api)
	return api, err
}

func (m *Mirror) referrersAPI(repo Repository) subject {
	return subject{repo: repo, name: "referrers", key: m.realm.ReferrersAPI(repo.Registry(), repo.Path())}
}

// hasReferrersAPI reports whether a repository had the API within hadLife. A strange answer about one digest then does not mean
// that it has lost the API.
func (m *Mirror) hasReferrersAPI(ctx context.Context, repo Repository) bool {
	api, err := m.referrersAPIs.recall(ctx, m.referrersAPI(repo), false)
	return err == nil && !api.value.Missing && elapsed(api.asked, m.Now()) < hadLife
}

// hadLife is how long a repository counts as one with the API after that was last recorded.
const hadLife = 7 * 24 * time.Hour

// recordReferrersAPI records whether a repository has the API, unless the record says so already.
func (m *Mirror) recordReferrersAPI(ctx context.Context, repo Repository, has bool) {
	k, s := m.referrersAPIs, m.referrersAPI(repo)
	asked := m.Now()
	if known, err := k.recall(ctx, s, false); err == nil && known.value.Missing != has && k.isFresh(s, known, asked) {
		return
	}
	_, version, err := k.load(ctx, s.key)
	if err != nil && !errors.Is(err, backend.ErrNotFound) {
		return // the store does not answer; the next list shows it again
	}
	i := inquiry[referrersAPI]{version: version, replaceAfter: replaceAfter(err), conditions: m.leases.conditions.Load()}
	_, _ = k.record(ctx, s, &record[referrersAPI]{value: referrersAPI{Missing: !has}, asked: asked}, i)
}
