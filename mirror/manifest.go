package mirror

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/bounded"
	"github.com/entrepot-io/entrepot/mirror/ability"
	"github.com/entrepot-io/entrepot/upstream"
)

// Manifest is a manifest, byte for byte as its upstream has it. It is shared: do not change Body.
type Manifest struct {
	Digest    digest.Digest
	MediaType string
	Body      []byte

	key     string     // in the bucket; empty if it is not there
	repo    Repository // whose upstream named the media type; the zero value if the body names it
	guessed bool       // the media type is a guess: neither the body nor an upstream has named it
}

// StoredAt returns the key of a manifest that is in the bucket.
func (m *Manifest) StoredAt() (key string, stored bool) { return m.key, m.key != "" }

// Answer is a manifest and its freshness. With an error that a tag does not exist, it is the freshness of the error.
type Answer struct {
	*Manifest
	// Unstored is why the upstream's answer about a tag could not be recorded for other replicas; nil if it was, or need not be.
	Unstored  error
	Freshness // the zero value for a digest, which does not change
}

// Freshness is the age of an upstream's answer.
type Freshness struct {
	// Stale is why the upstream gave no answer now, so that its answer at Checked is served; nil if the answer is fresh. It is an
	// *UpstreamError that is NotFound if the upstream has deleted the content.
	Stale   error
	Checked time.Time
}

// Manifest returns the manifest that a reference names. Errors: *UpstreamError, the store's, the context's.
func (m *Mirror) Manifest(ctx context.Context, repo Repository, ref Reference) (Answer, error) {
	return m.resolve(ctx, repo, ref, false)
}

// Revalidate is like Manifest, but asks the upstream about a tag even if it is fresh.
func (m *Mirror) Revalidate(ctx context.Context, repo Repository, ref Reference) (Answer, error) {
	return m.resolve(ctx, repo, ref, true)
}

func (m *Mirror) resolve(ctx context.Context, repo Repository, ref Reference, insist bool) (answer Answer, err error) {
	if d, byDigest := ref.Digest(); byDigest {
		answer.Manifest, err = m.resolveDigest(ctx, repo, d, "")
	} else {
		answer, err = m.resolveTag(ctx, repo, ref.Tag(), insist)
	}
	if err == nil && answer.Digest != "" {
		m.uses.mark(answer.Digest)
	}
	return answer, err
}

// glanceTime limits the look for a manifest that a client requests as a blob, since the time for the blob comes on top.
const glanceTime = time.Second

// CachedManifest returns a manifest from memory or from the bucket for a client that requests it as a blob. It returns nil if
// there is none.
func (m *Mirror) CachedManifest(ctx context.Context, repo Repository, d digest.Digest) *Manifest {
	manifest, ok := m.remembered(repo, d)
	if !ok && m.mayBeManifest(d) {
		ctx, cancel := context.WithTimeout(ctx, glanceTime)
		defer cancel()
		var err error
		manifest, err = shared(ctx, m, contentName("cached manifest", repo, d), func(ctx context.Context) (*Manifest, error) {
			return m.knownManifest(ctx, repo, d)
		})
		ok = err == nil // the look for a blob reports errors of the bucket
	}
	if !ok {
		return nil
	}
	m.uses.mark(d)
	return manifest
}

// mayBeManifest reports whether no blob with the digest is known.
func (m *Mirror) mayBeManifest(d digest.Digest) bool {
	_, stored := m.presences.GetIfPresent(d)
	return !stored && m.sizes.hint(d) == 0 && m.fills.SizeOf(d) == 0
}

// resolveDigest returns a manifest. Concurrent callers share the work. told is the media type in a tag's record, or empty.
func (m *Mirror) resolveDigest(ctx context.Context, repo Repository, d digest.Digest, told string) (*Manifest, error) {
	if manifest, ok := m.remembered(repo, d); ok && manifest.key != "" && !manifest.guessed {
		return manifest, nil
	}
	return shared(ctx, m, contentName("manifest", repo, d), func(ctx context.Context) (*Manifest, error) {
		return m.manifest(ctx, repo, d, told)
	})
}

// knownManifest returns a manifest from memory or from the bucket. Error: backend.ErrNotFound.
func (m *Mirror) knownManifest(ctx context.Context, repo Repository, d digest.Digest) (*Manifest, error) {
	if manifest, ok := m.remembered(repo, d); ok {
		return manifest, nil
	}
	manifest, err := m.loadManifest(ctx, repo, d)
	if err == nil {
		m.keep(manifest)
	}
	return manifest, err
}

// manifest returns a manifest from memory, from the bucket or from the upstream, and keeps it.
func (m *Mirror) manifest(ctx context.Context, repo Repository, d digest.Digest, told string) (*Manifest, error) {
	manifest, err := m.knownManifest(ctx, repo, d)
	if err == nil {
		return m.complete(ctx, repo, manifest.told(told)), nil
	}
	if !errors.Is(err, backend.ErrNotFound) {
		return nil, err
	}
	return m.fetchOnce(ctx, repo, d)
}

// fetchShared is fetchOnce for concurrent callers, which share the work.
func (m *Mirror) fetchShared(ctx context.Context, repo Repository, d digest.Digest) (*Manifest, error) {
	return shared(ctx, m, contentName("manifest", repo, d), func(ctx context.Context) (*Manifest, error) {
		return m.fetchOnce(ctx, repo, d)
	})
}

// fetchOnce fetches a manifest from the upstream, unless another replica does.
func (m *Mirror) fetchOnce(ctx context.Context, repo Repository, d digest.Digest) (*Manifest, error) {
	name := contentName("manifest", repo, d)
	if err := m.refusals.of(name); err != nil {
		return nil, err
	}
	manifest, err := m.fetchInTurn(ctx, repo, d)
	m.refusals.learn(name, err)
	return manifest, err
}

// fetchInTurn is fetchOnce without the memory of refusals.
func (m *Mirror) fetchInTurn(ctx context.Context, repo Repository, d digest.Digest) (*Manifest, error) {
	turns := m.leases.turns(m.realm.ManifestLease(d))
	defer turns.end(ctx)
	for {
		turn, err := turns.next(ctx)
		if err != nil {
			return nil, err
		}
		manifest, err := m.loadManifest(ctx, repo, d)
		switch {
		case err == nil && !manifest.guessed: // a guess is another repository's
			m.keep(manifest)
			return m.land(ctx, manifest), nil
		case err != nil && !errors.Is(err, backend.ErrNotFound):
			return nil, err
		case turn.own:
			return m.fetchManifest(ctx, repo, upstream.ByDigest(d))
		}
	}
}

// keep keeps a manifest in memory, and the sizes of its blobs, which the client will request next.
func (m *Mirror) keep(manifest *Manifest) {
	m.manifests.Set(manifestName{manifest.Digest, manifest.repo}, manifest)
	m.sizes.learn(manifest)
}

// headManifest asks the upstream which manifest a reference names.
func (m *Mirror) headManifest(ctx context.Context, repo Repository, ref Reference) (upstream.Descriptor, error) {
	ctx, cancel := inTime(ctx)
	defer cancel()
	return m.upstream(repo).HeadManifest(ctx, repo, ref)
}

// fetchManifest fetches a manifest from the upstream and stores it, if the store accepts it.
func (m *Mirror) fetchManifest(ctx context.Context, repo Repository, ref Reference) (*Manifest, error) {
	got, err := func() (upstream.Manifest, error) {
		ctx, cancel := inTime(ctx)
		defer cancel()
		return m.upstream(repo).GetManifest(ctx, repo, ref)
	}()
	if err != nil {
		return nil, err
	}
	manifest := &Manifest{Digest: got.Digest, MediaType: got.MediaType, Body: got.Body}
	if got.Schema1() {
		return manifest, nil // its bytes do not hash to its digest, so they could not be verified later
	}
	if !got.Typed {
		manifest.repo = repo
	}
	if got.MediaType == "" {
		manifest.guess("")
	}
	m.keep(manifest)
	return m.land(ctx, manifest), nil
}

// inTime limits the time for an upstream's answer, so that enough time remains to store it.
func inTime(ctx context.Context) (context.Context, context.CancelFunc) {
	most := upstreamTimeout
	if deadline, ok := ctx.Deadline(); ok {
		left := time.Until(deadline)
		most = min(most, left-min(left/10, time.Second))
	}
	return context.WithTimeout(ctx, most)
}

// loadManifest reads a manifest from the bucket, with its media type in a repository. Error: backend.ErrNotFound.
func (m *Mirror) loadManifest(ctx context.Context, repo Repository, d digest.Digest) (*Manifest, error) {
	data, object, err := m.load(ctx, m.realm.Manifest(d), upstream.MaxManifest)
	if errors.Is(err, bounded.ErrTooLarge) {
		err = nil // the digest does not match then
	}
	if err != nil {
		return nil, fmt.Errorf("look for manifest %s: %w", d, err)
	}
	if d.Algorithm().FromBytes(data) != d {
		// Another program wrote it. It counts as absent, so that it is fetched again and replaced.
		m.Log.Error("manifest in the bucket is not what its key says", "digest", d.String(), "bytes", len(data))
		return nil, fmt.Errorf("manifest %s is damaged: %w", d, backend.ErrNotFound)
	}
	manifest := &Manifest{Digest: d, Body: data, key: m.realm.Manifest(d)}
	if err := m.findType(ctx, repo, manifest, object.ContentType); err != nil {
		return nil, err
	}
	return manifest, nil
}

// land stores a manifest unless it is in the bucket, and returns the stored one. If the store does not accept it, clients get it
// from memory.
func (m *Mirror) land(ctx context.Context, manifest *Manifest) *Manifest {
	if manifest.key != "" {
		return manifest
	}
	if err := m.abilities.Writable(ability.Manifests); err != nil {
		return manifest
	}
	stored := *manifest
	stored.key = m.realm.Manifest(manifest.Digest)
	err := m.storeManifest(ctx, &stored, stored.anywhere())
	if err == nil && !stored.typed() && !stored.guessed {
		stored.key = m.realm.ManifestIn(stored.repo.Registry(), stored.repo.Path(), manifest.Digest)
		err = m.storeManifest(ctx, &stored, stored.MediaType)
	}
	reportWrite(ctx, m.abilities, ability.Manifests, err)
	if err != nil {
		m.Log.Warn("manifest not stored", "digest", manifest.Digest.String(), "error", err)
		return manifest
	}
	m.keep(&stored)
	return &stored
}

func (m *Mirror) storeManifest(ctx context.Context, manifest *Manifest, mediaType string) error {
	o := backend.PutOptions{ContentType: mediaType}
	if manifest.Digest.Algorithm() == digest.SHA256 {
		o.SHA256 = manifest.Digest.Encoded()
	}
	return backend.InTime(ctx, storeTimeout, func(ctx context.Context) error {
		object, err := m.Store.Put(ctx, manifest.key, bytes.NewReader(manifest.Body), int64(len(manifest.Body)), o)
		if err == nil {
			m.storeClock.observe(object.AsOf, m.Now())
		}
		return err
	})
}
