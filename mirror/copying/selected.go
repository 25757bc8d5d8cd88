package copying

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"regexp"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/mirror/inventory"
	"github.com/entrepot-io/entrepot/mirror/layout"
)

// selected copies the images that match the pattern, with their signatures and all that they need.
func (c *copier) selected(ctx context.Context) error {
	v, err := inventory.Read(ctx, inventory.Config{Store: c.From, Realm: c.Realm})
	if err != nil {
		return err
	}
	keys := c.keys(v)
	if len(keys.tags)+len(keys.manifests) == 0 {
		return ErrNoImage
	}
	for _, some := range [][]string{keys.blobs, keys.manifests, keys.types, keys.lists, keys.tags} {
		if err := c.all(ctx, c.look(ctx, some)); err != nil {
			return err
		}
	}
	return nil
}

// selection are the keys of objects to copy, each once.
type selection struct{ blobs, manifests, types, lists, tags []string }

// signatureTag is a tag by which clients find what refers to a manifest.
var signatureTag = regexp.MustCompile(`^(sha256|sha384|sha512)-([0-9a-f]{64,128})(\.(sig|att|sbom))?$`)

// keys returns the keys of the images that match the pattern.
func (c *copier) keys(v *inventory.Inventory) (keys selection) {
	images, walker := v.Roots(), v.NewWalker()
	taken, seen := map[string]bool{}, map[string]bool{}
	reached := map[string]bool{} // REPOSITORY@DIGEST of manifests
	add := func(list *[]string, key string) {
		if !seen[key] {
			seen[key] = true
			*list = append(*list, key)
		}
	}
	take := func(image inventory.Image) {
		taken[image.Name()] = true
		repository := image.Registry + "/" + image.Repository
		walker.Walk(func(n inventory.Node) {
			o := v.Object(n)
			if o.Kind == layout.Blobs {
				add(&keys.blobs, c.Realm.Blob(o.Digest))
				return
			}
			add(&keys.manifests, c.Realm.Manifest(o.Digest))
			reached[repository+"@"+o.Digest.String()] = true
			if image.Tag != "" {
				add(&keys.types, c.Realm.ManifestIn(image.Registry, image.Repository, o.Digest))
				add(&keys.lists, c.Realm.ReferrerList(image.Registry, image.Repository, o.Digest))
			}
		}, image.Root())
		if image.Tag != "" {
			add(&keys.lists, c.Realm.ReferrersAPI(image.Registry, image.Repository))
			add(&keys.tags, image.Record())
		}
	}
	for _, image := range images {
		if c.Pattern.Selects(image) {
			take(image)
		}
	}
	for more := true; more; { // signatures can have signatures
		more = false
		for _, image := range images {
			if !taken[image.Name()] && reached[signedBy(image)] {
				take(image)
				more = true
			}
		}
	}
	return keys
}

// signedBy returns REPOSITORY@DIGEST of the manifest that an image's tag is about, or an empty string.
func signedBy(image inventory.Image) string {
	match := signatureTag.FindStringSubmatch(image.Tag)
	if match == nil {
		return ""
	}
	return image.Registry + "/" + image.Repository + "@" + digest.NewDigestFromEncoded(digest.Algorithm(match[1]), match[2]).String()
}

// look yields the objects at keys that exist, with those of the other store.
func (c *copier) look(ctx context.Context, keys []string) iter.Seq2[job, error] {
	return func(yield func(job, error) bool) {
		for _, key := range keys {
			from, err := c.From.Stat(ctx, key)
			if errors.Is(err, backend.ErrNotFound) {
				continue
			}
			from.Key = key
			j := job{from: from}
			if err == nil {
				var to backend.Object
				to, err = c.To.Stat(ctx, key)
				if err == nil {
					j.to = &to
				} else if errors.Is(err, backend.ErrNotFound) {
					err = nil
				}
			}
			if err != nil {
				err = fmt.Errorf("look for %s: %w", strings.TrimPrefix(key, string(c.Realm)+"/"), err)
			}
			if !yield(j, err) {
				return
			}
		}
	}
}
