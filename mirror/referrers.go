package mirror

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/bounded"
	"github.com/entrepot-io/entrepot/upstream"
)

// referrerList is the upstream's last answer about the manifests that refer to a digest.
type referrerList struct {
	Index     []byte // the index without its manifests
	Manifests values // descriptors, in the upstream's order; nil if there is no list
	// Passed means that the list is not stored, and that its pages are passed through.
	Passed bool
	// Absent means that the upstream does not know the digest. Some registries answer so for a digest without referrers.
	Absent bool
	// NoAPI means that the repository has no referrers API.
	NoAPI bool
}

// encode returns the fields of a record.
func (l referrerList) encode() ([][]byte, error) {
	switch {
	case l.Passed:
		return [][]byte{[]byte(`"passed":true`)}, nil
	case l.Absent:
		return [][]byte{[]byte(`"absent":true`)}, nil
	case l.NoAPI:
		return [][]byte{[]byte(`"noAPI":true`)}, nil
	}
	return [][]byte{[]byte(`"index":`), l.Index, []byte(`,"manifests":[`), l.Manifests, []byte("]")}, nil
}

// decodeReferrerList decodes a record. The list shares its memory.
func decodeReferrerList(record bounded.JSON) (referrerList, error) {
	l := referrerList{Index: []byte("{}")}
	err := record.Fields(func(name string, value bounded.JSON) (err error) {
		switch name {
		case "index":
			l.Index, err = value.Without("manifests", maxIndex)
		case "manifests":
			l.Manifests, err = valuesIn(value)
		case "passed":
			l.Passed = string(value) == "true"
		case "absent":
			l.Absent = string(value) == "true"
		case "noAPI":
			l.NoAPI = string(value) == "true"
		}
		return err
	})
	if err == nil && !l.empty() && l.Manifests == nil {
		err = errors.New("it has no list")
	}
	return l, err
}

// empty reports whether the upstream's answer was not an index.
func (l referrerList) empty() bool { return l.Passed || l.Absent || l.NoAPI }

// referrerLists is the kind of subjects that are digests to which manifests refer.
type referrerLists struct{ *Mirror }

func newReferrerLists(m *Mirror) *records[referrerList, referrerList] {
	return newLists(m, referrerLists{m}, "digest", decodeReferrerList, referrerList.encode, func(l referrerList) int {
		return len(l.Index) + len(l.Manifests)
	})
}

func (k referrerLists) lease(s subject) string { return k.realm.ListLease(s.key) }

func (k referrerLists) count(s subject, how string) {
	k.metrics.list(s.repo.Registry(), listOfReferrers, how)
}

func (k referrerLists) ttl(s subject, l referrerList) time.Duration {
	switch {
	case l.Passed:
		return passedLife
	case l.NoAPI:
		return apiLife
	}
	return s.ttl
}

func (k referrerLists) cached(_ context.Context, _ subject, l referrerList) (referrerList, error) {
	return l, nil
}

func (k referrerLists) answer(_ context.Context, _ subject, l referrerList) (referrerList, error) {
	return l, nil
}

// fetch does not ask if the repository is known to have no referrers API.
func (k referrerLists) fetch(ctx context.Context, s subject) (reply[referrerList, referrerList], error) {
	api, err := k.referrersAPIs.recall(ctx, k.referrersAPI(s.repo), false)
	if err != nil && !errors.Is(err, backend.ErrNotFound) {
		return reply[referrerList, referrerList]{}, err
	}
	missing := err == nil && api.value.Missing
	if missing && k.referrersAPIs.isFresh(k.referrersAPI(s.repo), api, k.Now()) {
		return k.noAPI(), nil
	}
	asking, cancel := context.WithTimeout(ctx, wholeTimeout)
	defer cancel()
	said, err := k.ask(asking, ctx, s, nil)
	if err != nil && missing && !isGone(err) && k.referrersAPIs.mayServeStale(api, err) {
		said, err = k.noAPI(), nil
		said.keep = nowhere // it was not the answer about this digest, and it is old
	}
	return said, err
}

// revalidate does not ask either, unless the client insists.
func (k referrerLists) revalidate(ctx context.Context, s subject, known referrerList, thrifty bool) (reply[referrerList, referrerList], error) {
	if known.NoAPI && thrifty {
		api, err := k.referrersAPIs.recall(ctx, k.referrersAPI(s.repo), false)
		if err == nil && api.value.Missing && k.referrersAPIs.isFresh(k.referrersAPI(s.repo), api, k.Now()) {
			return k.noAPI(), nil
		}
	}
	asking, cancel := inTime(ctx)
	defer cancel()
	return k.ask(asking, ctx, s, &known)
}

func (k referrerLists) noAPI() reply[referrerList, referrerList] {
	return listReply(referrerList{NoAPI: true})
}

func listReply(l referrerList) reply[referrerList, referrerList] {
	return reply[referrerList, referrerList]{answer: l, value: l}
}

// ask fetches the whole list before asking ends. known is the value of its record, nil if there is none.
func (k referrerLists) ask(asking, ctx context.Context, s subject, known *referrerList) (reply[referrerList, referrerList], error) {
	d := digest.Digest(s.name)
	all, err := k.upstream(s.repo).AllReferrers(asking, s.repo, d, known != nil)
	listed := known != nil && !known.empty()
	switch {
	case err == nil:
		l := referrerList{Index: all.Index, Manifests: all.Manifests}
		if l.Manifests == nil {
			l.Manifests = values{}
		}
		k.recordReferrersAPI(ctx, s.repo, true)
		return listReply(l), nil
	case passesThrough(k.referrerLists, s, listed, err):
		return listReply(referrerList{Passed: true}), nil
	case listed:
		return reply[referrerList, referrerList]{}, notWhole(s, err) // there is an API
	}
	switch k.meaning(ctx, s.repo, d, err) {
	case unknownDigest:
		return listReply(referrerList{Absent: true}), nil
	case noSuchAPI:
		if !k.hasReferrersAPI(ctx, s.repo) {
			k.recordReferrersAPI(ctx, s.repo, false)
			return k.noAPI(), nil
		}
		return listReply(referrerList{Absent: true}), nil
	}
	return reply[referrerList, referrerList]{}, notWhole(s, err)
}

// listRefusal is the meaning of an upstream's refusal to list referrers.
type listRefusal int

const (
	hiccup        listRefusal = iota // it proves nothing
	unknownDigest                    // the repository may have the API, but does not know the digest
	noSuchAPI
)

// meaning returns the meaning of an upstream's answer that is not an index. Registries without the API answer as to any unknown
// path, and so does a proxy whose registry is down. Most statuses therefore count only if the registry has the manifest itself.
func (k referrerLists) meaning(ctx context.Context, repo Repository, d digest.Digest, err error) listRefusal {
	failed := new(UpstreamError)
	if !errors.As(err, &failed) {
		return hiccup
	}
	switch failed.Status {
	case http.StatusMethodNotAllowed, http.StatusNotImplemented:
		return noSuchAPI
	case http.StatusNotFound:
		switch failed.Code {
		case "NAME_UNKNOWN":
			return hiccup
		case "MANIFEST_UNKNOWN", "BLOB_UNKNOWN":
			return unknownDigest
		}
	case http.StatusOK:
		if !errors.Is(err, upstream.ErrNoIndex) {
			return hiccup
		}
	case http.StatusBadRequest, http.StatusForbidden, http.StatusNotAcceptable, http.StatusGone:
	default:
		return hiccup
	}
	if !k.hasUpstream(ctx, repo, d) {
		return hiccup
	}
	return noSuchAPI
}

// hasUpstream reports whether the upstream has a manifest. HEAD does not count as a pull. If its response has no digest, a GET
// decides.
func (k referrerLists) hasUpstream(ctx context.Context, repo Repository, d digest.Digest) bool {
	there, err := k.headManifest(ctx, repo, upstream.ByDigest(d))
	if err == nil && there.Digest == "" {
		ctx, cancel := inTime(ctx)
		defer cancel()
		_, err = k.upstream(repo).GetManifest(ctx, repo, upstream.ByDigest(d))
		return err == nil
	}
	return err == nil && there.Digest == d
}
