package mirror

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/bounded"
	"github.com/entrepot-io/entrepot/upstream"
)

// Content that an operator brings, for example in an archive, counts as if the upstream had just sent it.

// HasBlob reports whether a blob is in the bucket and stays there. Errors: the store's, the context's.
func (m *Mirror) HasBlob(ctx context.Context, d digest.Digest) (bool, error) {
	blob, err := m.lookUp(ctx, d)
	return blob != nil, err
}

// AdoptManifest stores a manifest. mediaType counts if the body names none, and only in this repository. Errors:
// upstream.ErrBadContent if the body does not hash to the digest, the store's, the context's.
func (m *Mirror) AdoptManifest(ctx context.Context, repo Repository, d digest.Digest, mediaType string, body []byte) (*Manifest, error) {
	if d.Algorithm().FromBytes(body) != d {
		return nil, fmt.Errorf("%w: manifest %s has other bytes", upstream.ErrBadContent, d)
	}
	manifest := &Manifest{Digest: d, MediaType: upstream.OwnManifestType(body), Body: body, key: m.realm.Manifest(d)}
	if manifest.MediaType == "" {
		manifest.repo = repo
		if manifest.MediaType = upstream.ParseManifestType(mediaType); manifest.MediaType == "" {
			manifest.guess("")
		}
	}
	err := m.storeManifest(ctx, manifest, manifest.anywhere())
	if err == nil && !manifest.typed() && !manifest.guessed {
		manifest.key = m.realm.ManifestIn(repo.Registry(), repo.Path(), d)
		err = m.storeManifest(ctx, manifest, manifest.MediaType)
	}
	if err != nil {
		return nil, fmt.Errorf("store manifest %s: %w", d, err)
	}
	m.keep(manifest)
	return manifest, nil
}

// AdoptTag records that a tag names a stored manifest. Errors: the store's, the context's.
func (m *Mirror) AdoptTag(ctx context.Context, repo Repository, tag string, manifest *Manifest) error {
	value := tagRecord{Digest: manifest.Digest, MediaType: manifest.MediaType, Size: int64(len(manifest.Body))}
	return m.tags.adopt(ctx, m.tag(repo, tag), func(*record[tagRecord]) tagRecord { return value })
}

// AdoptReferrers records that manifests refer to a digest, besides those that are recorded already. descriptors are in JSON.
// Without any, an existing record stays; a new one says that there are none, or if byTag that clients find them by a tag.
// Errors: the store's, the context's.
func (m *Mirror) AdoptReferrers(ctx context.Context, repo Repository, d digest.Digest, byTag bool, descriptors map[digest.Digest][]byte) error {
	s := subject{repo: repo, name: d.String(), key: m.realm.ReferrerList(repo.Registry(), repo.Path(), d), ttl: m.TagTTL}
	if len(descriptors) == 0 {
		if _, _, err := m.referrerLists.load(ctx, s.key); !errors.Is(err, backend.ErrNotFound) {
			return err
		}
	}
	return m.referrerLists.adopt(ctx, s, func(known *record[referrerList]) referrerList {
		l := referrerList{Index: []byte(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json"}`), Manifests: values{}}
		if known != nil && !known.value.empty() {
			l = known.value
		}
		if byTag && len(descriptors) == 0 {
			return referrerList{NoAPI: true}
		}
		all := [][]byte{}
		listed := map[string]bool{}
		for _, value := range l.Manifests.all() {
			all = append(all, value)
			listed[digestIn(value)] = true
		}
		for referrer, descriptor := range descriptors {
			if !listed[referrer.String()] {
				all = append(all, descriptor)
			}
		}
		l.Manifests = bytes.Join(all, []byte(","))
		return l
	})
}

// digestIn returns the digest in a descriptor.
func digestIn(descriptor bounded.JSON) (text string) {
	_ = descriptor.Fields(func(name string, value bounded.JSON) error { // what is not an object has no digest
		if name == "digest" {
			text, _ = value.Text(maxText)
		}
		return nil
	})
	return text
}

// adopt records a value in place of the known record, which is nil if there is none.
func (k *records[V, A]) adopt(ctx context.Context, s subject, value func(known *record[V]) V) error {
	for {
		known, version, err := k.load(ctx, s.key)
		if err != nil && !errors.Is(err, backend.ErrNotFound) {
			return err
		}
		i := inquiry[V]{asked: k.m.Now(), version: version, replaceAfter: replaceAfter(err), conditions: k.m.leases.conditions.Load()}
		theirs, err := k.store(ctx, s, &record[V]{value: value(known), asked: i.asked}, i)
		if theirs == nil || ctx.Err() != nil { // else another replica has written a record meanwhile
			return err
		}
	}
}
