package mirror

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"time"

	"github.com/maypok86/otter/v2"
	"github.com/opencontainers/go-digest"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/bounded"
	"github.com/entrepot-io/entrepot/mirror/ability"
	"github.com/entrepot-io/entrepot/upstream"
)

// tagRecord is the upstream's last answer about a tag. The manifest that it names is always in the bucket, since the record is
// written after it. A record can therefore be served during an outage of the upstream.
type tagRecord struct {
	Digest    digest.Digest `json:"digest,omitempty"`
	MediaType string        `json:"mediaType,omitempty"`
	Size      int64         `json:"size,omitempty"` // bytes
	// Absent means that the upstream has no such tag. Only tags named after a digest are recorded as absent; see belongsTo.
	Absent bool `json:"absent,omitempty"`
}

// maxTagRecord limits a tag's record in bytes.
const maxTagRecord = 64 << 10

// tags is the kind of subjects that are tags.
type tags struct{ *Mirror }

func newTags(m *Mirror) *records[tagRecord, *Manifest] {
	return &records[tagRecord, *Manifest]{
		m:       m,
		kind:    tags{m},
		purpose: ability.Tags,
		most:    maxTagRecord,
		decode:  decodeTagRecord,
		encode:  encodeFields[tagRecord],
		complete: func(s subject, r tagRecord) bool {
			manifest, ok := m.remembered(s.repo, r.Digest)
			return r.Absent || ok && manifest.key != ""
		},
		noun:      "tag",
		events:    events{"tag record in the bucket cannot be read", "tag record not stored", "tag not revalidated"},
		questions: newQuestions[found[*Manifest]](),
		copies: otter.Must(&otter.Options[string, *record[tagRecord]]{
			MaximumWeight: maxTags,
			Weigher: func(key string, r *record[tagRecord]) uint32 {
				return uint32(len(key)+len(r.value.Digest)+len(r.value.MediaType)+len(r.version)+len(r.replaced)) + 256
			},
		}),
	}
}

func decodeTagRecord(record bounded.JSON) (r tagRecord, err error) {
	if err := json.Unmarshal(record, &r); err != nil {
		return r, err
	}
	if !r.Absent {
		if _, err := ParseDigest(r.Digest.String()); err != nil {
			return r, err
		}
	}
	r.MediaType = upstream.ParseManifestType(r.MediaType)
	return r, nil
}

func (m *Mirror) tag(repo Repository, name string) subject {
	s := subject{repo: repo, name: name, key: m.realm.Tag(repo.Registry(), repo.Path(), name), ttl: m.TagTTL}
	if len(m.TagTTLRules) > 0 {
		s.ttl = m.TagTTLRules.Of(repo.String()+":"+name, m.TagTTL)
	}
	return s
}

// resolveTag returns the manifest that a tag names. If insist, it asks the upstream however fresh the record is.
func (m *Mirror) resolveTag(ctx context.Context, repo Repository, name string, insist bool) (Answer, error) {
	f, err := m.tags.resolve(ctx, m.tag(repo, name), insist)
	if err == nil && f.answer == nil {
		err = m.absent(repo, "MANIFEST_UNKNOWN", "it has no tag "+name)
	}
	return Answer{Manifest: f.answer, Unstored: f.unstored, Freshness: Freshness{f.stale, f.checked}}, err
}

// absent returns the error that an upstream does not have something, according to its last answer.
func (m *Mirror) absent(repo Repository, code, message string) error {
	endpoints := m.upstream(repo).Endpoints()
	return &UpstreamError{
		Registry: repo.Registry(), Endpoint: endpoints[len(endpoints)-1], Status: http.StatusNotFound, Code: code, Message: message,
	}
}

var belongsToGrammar = regexp.MustCompile(`^[a-z0-9]+([+._-][a-z0-9]+)*-[0-9a-f]{64,}([._-][A-Za-z0-9._-]+)?$`)

// belongsTo reports whether a tag is named after a digest: sha256-<hex> replaces the referrers API (distribution spec,
// "Referrers Tag Schema"), and cosign adds suffixes such as .sig, .att and .sbom. Clients request such a tag to find out
// whether it exists, so its absence is worth a record.
func belongsTo(tag string) bool { return belongsToGrammar.MatchString(tag) }

// absentReply turns an upstream's error that it has no such tag into a reply to record, if the tag is named after a digest.
func (t tags) absentReply(s subject, said reply[tagRecord, *Manifest], err error) (reply[tagRecord, *Manifest], error) {
	failed := new(UpstreamError)
	if !errors.As(err, &failed) || !failed.NotFound() || failed.Code == "NAME_UNKNOWN" || !belongsTo(s.name) {
		return said, err
	}
	return reply[tagRecord, *Manifest]{value: tagRecord{Absent: true}}, nil
}

// ttl returns the tag's TTL. An absent tag may appear at any time, so a longer TTL of the rules does not apply to it.
func (t tags) ttl(s subject, r tagRecord) time.Duration {
	if r.Absent {
		return min(s.ttl, t.TagTTL)
	}
	return s.ttl
}

func (t tags) lease(s subject) string {
	return t.realm.TagLease(s.repo.Registry(), s.repo.Path(), s.name)
}

func (t tags) count(s subject, how string) { t.metrics.tag(s.repo.Registry(), how) }

// cached returns nil if the tag is absent, like answer.
func (t tags) cached(ctx context.Context, s subject, r tagRecord) (*Manifest, error) {
	if r.Absent {
		return nil, nil
	}
	manifest, err := t.knownManifest(ctx, s.repo, r.Digest)
	if err != nil {
		return nil, err
	}
	return manifest.told(r.MediaType), nil
}

func (t tags) answer(ctx context.Context, s subject, r tagRecord) (*Manifest, error) {
	if r.Absent {
		return nil, nil
	}
	return t.resolveDigest(ctx, s.repo, r.Digest, r.MediaType)
}

// fetch asks by GET, since the response to a HEAD would not hold the manifest.
func (t tags) fetch(ctx context.Context, s subject) (reply[tagRecord, *Manifest], error) {
	ref, err := upstream.ParseReference(s.name)
	if err != nil {
		return reply[tagRecord, *Manifest]{}, err
	}
	manifest, err := t.fetchManifest(ctx, s.repo, ref)
	return t.absentReply(s, named(manifest), err)
}

// revalidate asks by HEAD, which Docker Hub does not count, and by GET only if the digest is new or the upstream does not
// answer HEAD. If thrifty, it sends no GET when the quota for GETs is nearly used up.
func (t tags) revalidate(ctx context.Context, s subject, known tagRecord, thrifty bool) (reply[tagRecord, *Manifest], error) {
	said, err := t.askAgain(ctx, s, known, thrifty)
	if known.Absent {
		return t.absentReply(s, said, err)
	}
	return said, err
}

// askAgain is revalidate without the records of absent tags.
func (t tags) askAgain(ctx context.Context, s subject, known tagRecord, thrifty bool) (reply[tagRecord, *Manifest], error) {
	var none reply[tagRecord, *Manifest]
	ref, err := upstream.ParseReference(s.name)
	if err != nil {
		return none, err
	}
	d, err := t.headManifest(ctx, s.repo, ref)
	if err != nil {
		return none, err
	}
	scarce := thrifty && t.upstream(s.repo).Scarce()
	if d.Digest != "" && !d.Schema1() {
		manifest, err := t.headed(ctx, s, d.Digest, known, scarce)
		if !isGone(err) && !errors.Is(err, upstream.ErrBadContent) {
			return named(manifest), err
		}
		// HEAD named a digest that the upstream does not have.
	}
	if scarce {
		return none, t.scarce(s)
	}
	manifest, err := t.fetchManifest(ctx, s.repo, ref)
	return named(manifest), err
}

func (t tags) scarce(s subject) error { return fmt.Errorf("%w: %s", errScarce, s.repo.Registry()) }

// headed returns the manifest with the digest that a HEAD named. If scarce, it does not fetch the manifest. The manifest of a
// moved tag is probably new. The bucket is then looked up only once, when this replica holds the lease to fetch it.
func (t tags) headed(ctx context.Context, s subject, d digest.Digest, known tagRecord, scarce bool) (*Manifest, error) {
	moved := d != known.Digest
	if _, ok := t.remembered(s.repo, d); !ok && moved && !t.upstream(s.repo).Scarce() {
		manifest, err := t.fetchShared(ctx, s.repo, d)
		if err == nil {
			return manifest, nil
		}
		if guess, failed := t.knownManifest(ctx, s.repo, d); failed == nil {
			return guess, nil // another repository has it; only its media type is not known
		}
		return nil, err
	}
	told := known.MediaType
	if moved {
		told = ""
	}
	manifest, err := t.knownManifest(ctx, s.repo, d)
	switch {
	case err == nil:
		return t.complete(ctx, s.repo, manifest).told(told), nil
	case !errors.Is(err, backend.ErrNotFound):
		return nil, err
	case scarce:
		return nil, t.scarce(s)
	}
	return t.fetchShared(ctx, s.repo, d)
}

// named returns the reply that a tag names a manifest. nil stands for a failure.
func named(manifest *Manifest) reply[tagRecord, *Manifest] {
	if manifest == nil {
		return reply[tagRecord, *Manifest]{}
	}
	r := reply[tagRecord, *Manifest]{answer: manifest, value: tagRecord{
		Digest: manifest.Digest, Size: int64(len(manifest.Body)),
	}}
	if !manifest.guessed {
		r.value.MediaType = manifest.MediaType
	}
	_, stored := manifest.StoredAt()
	switch {
	case manifest.Digest == "", (upstream.Descriptor{MediaType: manifest.MediaType}).Schema1():
		r.keep = nowhere
	case !stored:
		r.keep = inMemory
	}
	return r
}
