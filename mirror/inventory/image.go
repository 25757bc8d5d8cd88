package inventory

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/bounded"
	"github.com/entrepot-io/entrepot/mirror/document"
	"github.com/entrepot-io/entrepot/mirror/layout"
)

// Image is a cached image. Its JSON form is documented in docs/commands.md.
type Image struct {
	Registry    string        `json:"registry"`   // empty for a manifest without a tag
	Repository  string        `json:"repository"` // without the registry
	Tag         string        `json:"tag"`        // empty for a manifest without a tag
	Digest      digest.Digest `json:"digest"`
	MediaType   string        `json:"mediaType"`
	Platforms   []string      `json:"platforms"`   // that are cached, sorted
	Bytes       int64         `json:"bytes"`       // of what is cached of the image and its referrers
	SharedBytes int64         `json:"sharedBytes"` // the part of Bytes that other images need too
	FirstCached time.Time     `json:"firstCached,omitzero"`
	LastChecked time.Time     `json:"lastChecked,omitzero"` // when the upstream last confirmed the tag
	LastUsed    time.Time     `json:"lastUsed,omitzero"`    // to the hour, on a folder to the second

	root Node
	key  string // of the tag's record
}

// Root returns the node of the image's manifest.
func (i Image) Root() Node { return i.root }

// Record returns the key of the tag's record, or nothing for a manifest without a tag.
func (i Image) Record() string { return i.key }

// Name returns REGISTRY/REPOSITORY:TAG, or the digest of a manifest without a tag.
func (i Image) Name() string {
	if i.Tag == "" {
		return i.Digest.String()
	}
	return i.Registry + "/" + i.Repository + ":" + i.Tag
}

// Images returns the images with a tag that match a pattern, in order of their names. With digests, it also returns the
// manifests that no tag, index or subject names, in order of their digests; of these a pattern selects by digest. It reads
// the configs of images for their platforms. Errors: the store's, the context's.
func (v *Inventory) Images(ctx context.Context, p Pattern, digests bool) ([]Image, error) {
	images := v.images(p)
	if digests {
		images = append(images, v.untagged(p)...)
	}
	v.measure(images)
	return images, v.findPlatforms(ctx, images)
}

// Roots returns all images with and without a tag, like Images, but without their platforms.
func (v *Inventory) Roots() []Image {
	images := append(v.images(Pattern{}), v.untagged(Pattern{})...)
	v.measure(images)
	return images
}

// Incomplete returns the images with a tag whose manifest is not in the bucket, not measured.
func (v *Inventory) Incomplete() (images []Image) {
	for _, t := range v.tags {
		if _, ok := v.find(layout.Manifests, t.digest); !ok {
			images = append(images, Image{Registry: t.registry, Repository: t.repository, Tag: t.name, Digest: t.digest, MediaType: t.mediaType, key: t.key})
		}
	}
	return images
}

// images returns the images with a tag that match a pattern, in order of their names, not measured.
func (v *Inventory) images(p Pattern) []Image {
	images := []Image{} // an empty list in JSON, not null
	for _, t := range v.tags {
		root, ok := v.find(layout.Manifests, t.digest)
		if !ok || !p.matchesImage(t.registry+"/"+t.repository, t.name, t.digest) {
			continue
		}
		images = append(images, Image{
			Registry: t.registry, Repository: t.repository, Tag: t.name, Digest: t.digest,
			MediaType: cmp.Or(t.mediaType, v.manifest(root).typeName()), Platforms: []string{}, LastChecked: t.checked,
			root: root, key: t.key,
		})
	}
	slices.SortStableFunc(images, func(a, b Image) int { return strings.Compare(a.Name(), b.Name()) })
	return images
}

// untagged returns the manifests that nothing names.
func (v *Inventory) untagged(p Pattern) (images []Image) {
	tagged := v.tagged()
	for _, t := range v.tables {
		if t.kind != layout.Manifests {
			continue
		}
		for i := range t.len() {
			n, d := t.first+Node(i), t.digest(i)
			if tagged[n] || v.manifest(n).named || !p.matches(d.String(), "") {
				continue
			}
			images = append(images, Image{Digest: d, MediaType: v.manifest(n).typeName(), Platforms: []string{}, root: n})
		}
	}
	return images
}

// tagged reports by node whether a tag names it.
func (v *Inventory) tagged() []bool {
	tagged := make([]bool, v.nodes)
	for _, t := range v.tags {
		if n, ok := v.find(layout.Manifests, t.digest); ok {
			tagged[n] = true
		}
	}
	return tagged
}

// roots returns the manifests with a tag, and those that nothing names.
func (v *Inventory) roots() (roots []Node) {
	tagged := v.tagged()
	for n := v.firstManifest; n < v.nodes; n++ {
		if tagged[n] || !v.manifest(n).named {
			roots = append(roots, n)
		}
	}
	return roots
}

const (
	ownedByNone = 0
	ownedByMany = -1
)

// owners returns by node the owner whose roots alone reach it, ownedByNone or ownedByMany. owner numbers the owners from 1.
func (v *Inventory) owners(roots []Node, owner func(i int) int32) []int32 {
	owners, marks := make([]int32, v.nodes), make([]int32, v.nodes)
	for i, root := range roots {
		this := owner(i)
		v.walk(root, marks, int32(i+1), func(n Node) {
			switch owners[n] {
			case ownedByNone, this:
				owners[n] = this
			default:
				owners[n] = ownedByMany
			}
		})
	}
	return owners
}

// measure sets the sizes and times of images.
func (v *Inventory) measure(images []Image) {
	owners := v.owners(v.roots(), func(i int) int32 { return int32(i + 1) })
	marks := make([]int32, v.nodes)
	for i := range images {
		image := &images[i]
		image.FirstCached, image.LastUsed = v.stored(image.root), v.lastUse(image.root)
		v.walk(image.root, marks, int32(i+1), func(n Node) {
			size := v.size(n)
			image.Bytes += size
			if owners[n] == ownedByMany {
				image.SharedBytes += size
			}
			if used := v.lastUse(n); used.After(image.LastUsed) && v.manifest(n) != nil {
				image.LastUsed = used // clients that know a child by its digest do not ask for the index
			}
		})
	}
}

// findPlatforms sets the platforms of images.
func (v *Inventory) findPlatforms(ctx context.Context, images []Image) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(readers)
	memory := bounded.NewBudget(buffers)
	for i := range images {
		image := &images[i]
		m := v.manifest(image.root)
		for _, p := range m.platforms {
			image.Platforms = append(image.Platforms, p.Value())
		}
		group.Go(func() error {
			p, err := v.configPlatform(ctx, memory, m.config)
			if p.OS != "" {
				image.Platforms = append(image.Platforms, format(p))
			}
			slices.Sort(image.Platforms)
			image.Platforms = slices.Compact(image.Platforms)
			return err
		})
	}
	return group.Wait()
}

// configPlatform returns the platform in an image's config (image spec, "Image Configuration"), or the zero value.
func (v *Inventory) configPlatform(ctx context.Context, memory *bounded.Budget, config Node) (p v1.Platform, err error) {
	if config == noNode || v.size(config) > maxManifest {
		return p, nil
	}
	t, i := v.tableOf(config)
	d := t.digest(i)
	body, object, err := v.store.Get(ctx, v.realm.Blob(d), backend.Range{})
	if errors.Is(err, backend.ErrNotFound) {
		return p, nil // it was removed since
	}
	if err != nil {
		return p, fmt.Errorf("read config %s: %w", d, err)
	}
	defer body.Close()
	data, err := memory.Read(ctx, body, object.Size, maxManifest)
	if err != nil {
		return p, fmt.Errorf("read config %s: %w", d, err)
	}
	parsed, err := bounded.Parse(data)
	if err != nil {
		return p, nil // artifacts have configs of any kind
	}
	return document.Platform(parsed), nil
}

// format returns OS/ARCHITECTURE[/VARIANT].
func format(p v1.Platform) string {
	return strings.TrimSuffix(p.OS+"/"+p.Architecture+"/"+p.Variant, "/")
}
