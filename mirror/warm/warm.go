// Package warm lands whole images in the bucket before clients ask for them. It calls a Mirror as clients' requests do, so
// images are fetched once for all replicas and everything cached is skipped.
package warm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	ggcr "github.com/google/go-containerregistry/pkg/v1"
	"github.com/opencontainers/go-digest"
	imagespec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"github.com/entrepot-io/entrepot/mirror"
	"github.com/entrepot-io/entrepot/mirror/document"
	"github.com/entrepot-io/entrepot/upstream"
)

// Config says what a Warmer lands.
type Config struct {
	Mirror *mirror.Mirror
	// Platforms selects the children of an index; nil: all. A platform without a variant selects all variants.
	Platforms []ggcr.Platform
	// Referrers: also land signatures, attestations and SBOMs.
	Referrers bool
	// Blobs is how many blobs are fetched at a time; at least 1.
	Blobs int64
	// Cached selects the children of an index that are cached, if there are any, when Platforms is nil.
	Cached bool
	// Taker gets what is landed, also if it is stale or the bucket does not accept it; may be nil. Referrers that only an
	// offline upstream knows are left out.
	Taker Taker
}

// Taker gets the content of images. Its methods are called concurrently.
type Taker interface {
	// Manifest takes a manifest. tag is the tag that names it, or empty.
	Manifest(tag string, manifest *mirror.Manifest) error
	// Blob takes a blob, and reports its bytes as they come.
	Blob(ctx context.Context, blob *mirror.Blob, p Progress) error
}

// Warmer lands images. Its methods can be called concurrently.
type Warmer struct {
	Config
	blobs *semaphore.Weighted
}

// New returns a Warmer.
func New(cfg Config) *Warmer { return &Warmer{cfg, semaphore.NewWeighted(cfg.Blobs)} }

// Result is what was landed of an image.
type Result struct {
	Digest digest.Digest // of what the reference names
	Bytes  int64         // of the image, as far as it was selected
	Landed int64         // the part of Bytes that was not cached before
}

// Progress is told how an image proceeds. Its methods are called concurrently.
type Progress interface {
	// Expect adds bytes of a blob to the image's size.
	Expect(bytes int64)
	// Advance adds bytes that are here, of those expected.
	Advance(bytes int64)
}

// Image lands what a reference names: a manifest, the selected children if it is an index, and their blobs. It returns what
// it has landed even with an error. Errors: those of Mirror.Manifest and Mirror.Blob, and that no platform matches.
func (w *Warmer) Image(ctx context.Context, repo mirror.Repository, ref mirror.Reference, p Progress) (Result, error) {
	i := &image{Warmer: w, repo: repo, progress: p, seen: map[digest.Digest]bool{}}
	i.group, ctx = errgroup.WithContext(ctx)
	err := i.land(ctx, ref)
	if wait := i.group.Wait(); wait != nil && (err == nil || errors.Is(err, context.Canceled)) {
		err = wait
	}
	return i.result, err
}

// image is one image that is landed.
type image struct {
	*Warmer
	repo     mirror.Repository
	progress Progress
	group    *errgroup.Group

	mu     sync.Mutex
	result Result
	seen   map[digest.Digest]bool
}

// isNew reports whether d is met for the first time.
func (i *image) isNew(d digest.Digest) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.seen[d] {
		return false
	}
	i.seen[d] = true
	return true
}

func (i *image) count(bytes, landed int64) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.result.Bytes += bytes
	i.result.Landed += landed
}

// land lands the image that ref names.
func (i *image) land(ctx context.Context, ref mirror.Reference) error {
	root, doc, err := i.manifest(ctx, ref)
	if err != nil {
		return err
	}
	i.result.Digest = root.Digest
	if err := i.content(ctx, root.Digest, doc); err != nil {
		return err
	}
	if !i.Referrers {
		return nil
	}
	return i.referrers(ctx, root.Digest)
}

// manifest lands a manifest and returns what it names.
func (i *image) manifest(ctx context.Context, ref mirror.Reference) (*mirror.Manifest, document.Document, error) {
	answer, err := i.Mirror.Manifest(ctx, i.repo, ref)
	if err == nil && i.Taker == nil {
		err = answer.Stale
	}
	if err != nil {
		return nil, document.Document{}, err
	}
	if _, stored := answer.StoredAt(); !stored && i.Taker == nil {
		return nil, document.Document{}, fmt.Errorf("manifest %s: %w", answer.Digest, mirror.ErrUnstored)
	}
	if i.Taker != nil {
		if err := i.Taker.Manifest(ref.Tag(), answer.Manifest); err != nil {
			return nil, document.Document{}, err
		}
	}
	i.count(int64(len(answer.Body)), 0)
	doc, err := document.Parse(answer.Body)
	if err != nil {
		return nil, doc, fmt.Errorf("read manifest %s: %w", answer.Digest, err)
	}
	return answer.Manifest, doc, nil
}

// content lands the blobs that a manifest names and the selected children of an index, each with its content.
func (i *image) content(ctx context.Context, of digest.Digest, doc document.Document) error {
	for _, blob := range doc.Blobs {
		if !blob.IsForeign() && i.isNew(blob.Digest) {
			i.progress.Expect(blob.Size)
			i.group.Go(func() error { return i.blob(ctx, blob) })
		}
	}
	children := i.selected(ctx, doc.Manifests)
	if len(doc.Manifests) > 0 && len(children) == 0 {
		return fmt.Errorf("%s has no image for the platforms, only for %s", of, platforms(doc.Manifests))
	}
	for _, child := range children {
		if !i.isNew(child.Digest) {
			continue
		}
		_, doc, err := i.manifest(ctx, upstream.ByDigest(child.Digest))
		if err != nil {
			return err
		}
		if err := i.content(ctx, child.Digest, doc); err != nil {
			return err
		}
		if i.Referrers {
			if err := i.referrers(ctx, child.Digest); err != nil {
				return err
			}
		}
	}
	return nil
}

// selected returns the children for the platforms, and with Referrers their attestations.
func (i *image) selected(ctx context.Context, children []document.Descriptor) []document.Descriptor {
	if i.Platforms == nil && i.Cached {
		cached := slices.DeleteFunc(slices.Clone(children), func(child document.Descriptor) bool {
			return i.Mirror.CachedManifest(ctx, i.repo, child.Digest) == nil
		})
		if len(cached) > 0 {
			return cached
		}
	}
	if i.Platforms == nil {
		return children
	}
	selected := map[digest.Digest]bool{}
	for _, child := range children {
		selected[child.Digest] = child.Attests == "" && i.isSelected(child.Platform)
	}
	return slices.DeleteFunc(slices.Clone(children), func(child document.Descriptor) bool {
		return !selected[child.Digest] && !(i.Referrers && child.Attests != "" && selected[child.Attests])
	})
}

// isSelected reports whether a child is landed. One without a platform is: it may be for any.
func (w *Warmer) isSelected(p imagespec.Platform) bool {
	has := ggcr.Platform{OS: p.OS, Architecture: p.Architecture, Variant: p.Variant}
	return p.OS == "" || slices.ContainsFunc(w.Platforms, has.Satisfies)
}

// platforms lists the platforms of children for a message.
func platforms(children []document.Descriptor) string {
	var names []string
	for _, c := range children {
		if c.Platform.OS != "" {
			names = append(names, ggcr.Platform{OS: c.Platform.OS, Architecture: c.Platform.Architecture, Variant: c.Platform.Variant}.String())
		}
	}
	slices.Sort(names)
	return fmt.Sprint(slices.Compact(names))
}

// blob lands a blob.
func (i *image) blob(ctx context.Context, d document.Descriptor) error {
	if err := i.blobs.Acquire(ctx, 1); err != nil {
		return err
	}
	defer i.blobs.Release(1)
	blob, err := i.Mirror.Blob(ctx, i.repo, d.Digest)
	if err != nil {
		return fmt.Errorf("blob %s: %w", d.Digest, err)
	}
	if blob.Size != d.Size {
		i.progress.Expect(blob.Size - d.Size)
	}
	if i.Taker != nil {
		if err := i.Taker.Blob(ctx, blob, i.progress); err != nil {
			return fmt.Errorf("blob %s: %w", d.Digest, err)
		}
		i.count(blob.Size, 0)
		return nil
	}
	if !blob.Fetched() {
		i.progress.Advance(blob.Size)
		i.count(blob.Size, 0)
		return nil
	}
	// Reading what arrives shows the progress, and keeps a blob in transit that cannot be stored.
	body, err := blob.Open(ctx, 0, 0)
	if err == nil {
		_, err = io.Copy(advance{i.progress}, body)
		body.Close()
	}
	if wait := blob.Wait(ctx); wait != nil {
		err = wait
	}
	if err != nil {
		return fmt.Errorf("blob %s: %w", d.Digest, err)
	}
	i.count(blob.Size, blob.Size)
	return nil
}

// advance counts what is written to it.
type advance struct{ Progress }

func (a advance) Write(p []byte) (int, error) {
	a.Advance(int64(len(p)))
	return len(p), nil
}
