package mirror

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/upstream"
)

// A manifest whose body has a mediaType has that type in all repositories. Any other manifest has the type that the upstream
// names, and only in that repository: the same bytes may be an image in one repository and an index in another. The bucket has
// a copy of such a manifest for each repository, with the type as Content-Type.

// manifestName is the key of a manifest in memory.
type manifestName struct {
	digest digest.Digest
	repo   Repository // the zero value if the body has the media type
}

// remembered returns a manifest from memory, with its type in repo.
func (m *Mirror) remembered(repo Repository, d digest.Digest) (*Manifest, bool) {
	if manifest, ok := m.manifests.GetIfPresent(manifestName{digest: d}); ok {
		return manifest, true
	}
	return m.manifests.GetIfPresent(manifestName{d, repo})
}

// findType sets the media type of a manifest from the bucket. stored is the Content-Type of its object.
func (m *Mirror) findType(ctx context.Context, repo Repository, manifest *Manifest, stored string) error {
	manifest.MediaType = upstream.OwnManifestType(manifest.Body)
	if manifest.MediaType != "" {
		if manifest.MediaType != stored {
			manifest.key = "" // an earlier release stored the upstream's type: store the manifest again
		}
		return nil
	}
	manifest.repo = repo
	key := m.realm.ManifestIn(repo.Registry(), repo.Path(), manifest.Digest)
	var object backend.Object
	err := backend.InTime(ctx, storeTimeout, func(ctx context.Context) (err error) {
		object, err = m.Store.Stat(ctx, key)
		return err
	})
	if err != nil && !errors.Is(err, backend.ErrNotFound) {
		return fmt.Errorf("look for the media type of manifest %s in %s: %w", manifest.Digest, repo, err)
	}
	if said := upstream.ParseManifestType(object.ContentType); said != "" {
		manifest.MediaType, manifest.key = said, key
		return nil
	}
	manifest.guess(stored)
	return nil
}

// typed reports whether the body has the media type.
func (m *Manifest) typed() bool { return m.repo == Repository{} }

// guess sets the most likely media type: by the fields of the body, otherwise the one that an earlier release stored.
func (m *Manifest) guess(stored string) {
	m.guessed = true
	m.MediaType = cmp.Or(upstream.FormType(m.Body), upstream.ParseManifestType(stored), upstream.UnknownType)
}

// anywhere returns the media type for repositories whose upstream names none.
func (m *Manifest) anywhere() string {
	if m.typed() {
		return m.MediaType
	}
	return cmp.Or(upstream.FormType(m.Body), upstream.UnknownType)
}

// told returns the manifest with mediaType in place of a guess.
func (m *Manifest) told(mediaType string) *Manifest {
	mediaType = upstream.ParseManifestType(mediaType)
	if !m.guessed || mediaType == "" {
		return m
	}
	told := *m
	told.MediaType, told.guessed = mediaType, false
	return &told
}

var errUntyped = errors.New("the upstream names no media type")

// complete stores a known manifest and asks the upstream for its media type if that is a guess, for as long as a tag may be
// revalidated. If either fails, it returns the manifest as it is.
func (m *Mirror) complete(ctx context.Context, repo Repository, manifest *Manifest) *Manifest {
	if !manifest.guessed {
		return m.land(ctx, manifest)
	}
	name := contentName("type", repo, manifest.Digest)
	u := m.upstream(repo)
	if m.refusals.of(name) != nil || u.Trouble() != nil || u.Scarce() {
		return manifest
	}
	ctx, cancel := context.WithTimeout(ctx, u.Budget()+afterBudget)
	defer cancel()
	got, err := m.fetchOnce(ctx, repo, manifest.Digest)
	if err == nil && got.guessed {
		err = errUntyped
	}
	if err != nil {
		m.refusals.remember(name, err)
		m.Log.Info("media type of manifest guessed", "repository", repo.String(), "digest", manifest.Digest.String(),
			"mediaType", manifest.MediaType, "error", err)
		return manifest
	}
	return got
}
