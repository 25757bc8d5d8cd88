//go:build e2e

package cluster_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"net/http"
	"strings"
	"sync"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"
)

// parallelLayers is the number of blobs that Docker and containerd fetch concurrently.
const parallelLayers = 3

// progress is what a client has of an image.
type progress struct {
	mu    sync.Mutex
	blobs map[digest.Digest]*blobProgress
}

// blobProgress is what a client has of a blob: the hash of its first bytes, up to offset.
type blobProgress struct {
	ocispec.Descriptor
	path   string
	sum    hash.Hash
	offset int64
}

func newProgress() *progress { return &progress{blobs: map[digest.Digest]*blobProgress{}} }

func (p *progress) blob(repo string, blob ocispec.Descriptor) *blobProgress {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.blobs[blob.Digest] == nil {
		p.blobs[blob.Digest] = &blobProgress{
			Descriptor: blob, sum: sha256.New(), path: "/v2/" + repo + "/blobs/" + blob.Digest.String(),
		}
	}
	return p.blobs[blob.Digest]
}

// round pulls the missing parts of an image and verifies every byte.
func (c *client) round(ctx context.Context, img image, have *progress) error {
	if c.behavior.program != nil {
		return c.behavior.program(ctx, c, img)
	}
	if err := c.pullManifest(ctx, img); err != nil {
		return fmt.Errorf("manifest of %s: %w", img.tag, err)
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallelLayers)
	for _, blob := range img.blobs() {
		b := have.blob(img.repo, blob)
		group.Go(func() error {
			if err := c.behavior.blob(ctx, c, b); err != nil {
				return fmt.Errorf("blob %s after %d of %d bytes: %w", short(b.Digest), b.offset, b.Size, err)
			}
			return nil
		})
	}
	return group.Wait()
}

func (c *client) pullManifest(ctx context.Context, img image) error {
	resp, err := c.behavior.request(ctx, c, func() (*http.Response, error) {
		return c.get(ctx, "/v2/"+img.repo+"/manifests/"+img.tag, 0)
	})
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	header := resp.Header.Get("Docker-Content-Digest")
	if !bytes.Equal(body, img.Body) || header != img.Digest.String() || resp.Header.Get("Content-Type") != img.MediaType {
		return fmt.Errorf("%w: %d bytes, Docker-Content-Digest %s, Content-Type %q", errCorrupt, len(body), header, resp.Header.Get("Content-Type"))
	}
	return nil
}

// fetch requests the rest of a blob once and returns the bytes received. It returns nil if the blob is complete and right.
func (c *client) fetch(ctx context.Context, b *blobProgress) (int64, error) {
	if b.offset == b.Size {
		return 0, b.check()
	}
	resp, err := c.behavior.request(ctx, c, func() (*http.Response, error) { return c.get(ctx, b.path, b.offset) })
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	if want := fmt.Sprintf("bytes %d-%d/%d", b.offset, b.Size-1, b.Size); b.offset > 0 && resp.Header.Get("Content-Range") != want {
		return 0, fmt.Errorf("%w: Content-Range is %q, want %q", errCorrupt, resp.Header.Get("Content-Range"), want)
	}
	if resp.ContentLength >= 0 && resp.ContentLength != b.Size-b.offset {
		return 0, fmt.Errorf("%w: Content-Length is %d, want %d", errCorrupt, resp.ContentLength, b.Size-b.offset)
	}
	n, err := io.Copy(b.sum, io.LimitReader(resp.Body, b.Size-b.offset+1))
	b.offset += n
	if err != nil {
		c.stats.cut.Add(1)
		return n, err
	}
	if b.offset < b.Size && resp.ContentLength < 0 {
		return n, io.ErrUnexpectedEOF // without a Content-Length, a proxy may lose the end unnoticed
	}
	return n, b.check()
}

func (b *blobProgress) check() error {
	got := "sha256:" + hex.EncodeToString(b.sum.Sum(nil))
	if got != b.Digest.String() || b.offset != b.Size {
		return fmt.Errorf("%w: %d bytes of %s, want %d of %s", errCorrupt, b.offset, got, b.Size, b.Digest)
	}
	return nil
}

func isShort(err error) bool {
	return err != nil && strings.Contains(err.Error(), io.ErrUnexpectedEOF.Error())
}
