//go:build e2e

package cluster_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/entrepot-io/entrepot/upstream/upstreamtest"
)

type image struct {
	upstreamtest.Image
	repo, tag string
}

func (i image) name() string { return i.repo + ":" + i.tag }

// blobs returns the config and the layers.
func (i image) blobs() []ocispec.Descriptor {
	return append([]ocispec.Descriptor{i.Config}, i.Layers...)
}

// A catalog lists the upstream's images, newest last, and notifies clients that wait for a new one.
type catalog struct {
	mu      sync.Mutex
	images  []image
	updated chan struct{} // closed and replaced when an image is added
}

// publish pushes new images to the upstream until ctx ends, so that some images are always cold.
func (c *cluster) publish(ctx context.Context, random *rand.Rand, images *catalog) {
	for {
		c.push(random, images)
		select {
		case <-ctx.Done():
			return
		case <-time.After(3*time.Second + time.Duration(random.Int64N(int64(4*time.Second)))):
		}
	}
}

// push pushes an image with three layers: smaller than a segment, about one segment, and several segments.
func (c *cluster) push(random *rand.Rand, images *catalog) image {
	img := image{repo: fmt.Sprintf("library/app-%d", random.IntN(3)+1), tag: fmt.Sprintf("v%d", images.count()+1)}
	img.Image = c.upstream.Image(img.repo, img.tag,
		2<<10+random.Int64N(1<<20),
		1<<20+random.Int64N(segment),
		segment+random.Int64N(4*segment))
	c.journal.add("upstream", "new image %s: %s", img.name(), sizes(img))
	images.mu.Lock()
	defer images.mu.Unlock()
	images.images = append(images.images, img)
	close(images.updated)
	images.updated = make(chan struct{})
	return img
}

func sizes(img image) string {
	text := ""
	for _, blob := range img.blobs() {
		text += fmt.Sprintf(" %s %.1f MB", short(blob.Digest), float64(blob.Size)/1e6)
	}
	return text
}

func short(d digest.Digest) string { return d.Encoded()[:8] }

func newCatalog() *catalog { return &catalog{updated: make(chan struct{})} }

func (c *catalog) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.images)
}

// all returns the images so far, and a channel that is closed when there is another.
func (c *catalog) all() ([]image, <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.images[:len(c.images):len(c.images)], c.updated
}
