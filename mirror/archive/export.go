package archive

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	imagespec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/mirror"
	"github.com/entrepot-io/entrepot/mirror/document"
	"github.com/entrepot-io/entrepot/mirror/warm"
)

const (
	// annotationName is the annotation with the full name of an image, as containerd writes it.
	annotationName = "io.containerd.image.name"

	maxIndex = 32 << 20 // bytes
	tries    = 4        // for each blob
	pause    = 100 * time.Millisecond
)

// Exporter writes images to a layout. It serves one goroutine.
type Exporter struct {
	cfg    warm.Config
	target target
	index  []imagespec.Descriptor
	done   bool
}

// NewExporter returns an exporter to a folder, or to a file if the path ends in .tar. It adds to a folder that has a layout,
// and replaces a file. Of cfg, Taker is not used. Close the exporter.
func NewExporter(path string, cfg warm.Config) (*Exporter, error) {
	to, err := openTarget(path)
	if err != nil {
		return nil, err
	}
	e := &Exporter{cfg: cfg, target: to}
	if root, isFolder := to.(folder); isFolder {
		if e.index, err = readIndexIn(root); err != nil {
			return nil, err
		}
	}
	return e, nil
}

func readIndexIn(f folder) ([]imagespec.Descriptor, error) {
	from, err := openSource(string(f))
	if err != nil {
		return nil, err
	}
	defer from.Close()
	index, err := readIndex(context.Background(), from) // a folder does not block
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return index, err
}

// Exported is what was written of an image.
type Exported struct {
	Digest  digest.Digest
	Bytes   int64 // of the image, as far as it was selected
	Written int64 // the part of Bytes that was not in the layout before
}

// Image writes an image. The layout names it when Finish has returned. Errors: those of warm.Warmer.Image, of the file system,
// and intake.ErrDigest.
func (e *Exporter) Image(ctx context.Context, repo mirror.Repository, ref mirror.Reference, p warm.Progress) (Exported, error) {
	t := &taker{target: e.target, repo: repo}
	cfg := e.cfg
	cfg.Taker = t
	result, err := warm.New(cfg).Image(ctx, repo, ref, p)
	exported := Exported{Digest: result.Digest, Bytes: result.Bytes, Written: t.written}
	if err != nil {
		return exported, err
	}
	if d, ok := ref.Digest(); ok {
		t.list(repo.String()+"@"+d.String(), t.root)
	}
	for _, named := range t.named {
		e.index = slices.DeleteFunc(e.index, func(known imagespec.Descriptor) bool {
			name := named.Annotations[annotationName]
			return known.Annotations[annotationName] == name && (name != "" || known.Digest == named.Digest)
		})
		e.index = append(e.index, named)
	}
	return exported, nil
}

// Finish makes the images visible.
func (e *Exporter) Finish() error {
	index, err := json.MarshalIndent(imagespec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: imagespec.MediaTypeImageIndex, Manifests: slices.Concat([]imagespec.Descriptor{}, e.index),
	}, "", "  ")
	if err != nil {
		return err
	}
	version, err := json.Marshal(imagespec.ImageLayout{Version: imagespec.ImageLayoutVersion})
	if err != nil {
		return err
	}
	for _, file := range []struct {
		name string
		body []byte
	}{{imagespec.ImageLayoutFile, version}, {imagespec.ImageIndexFile, index}} {
		if err := e.target.write(file.name, int64(len(file.body)), bytes.NewReader(file.body)); err != nil {
			return err
		}
	}
	if err := e.target.finish(); err != nil {
		return err
	}
	e.done = true
	return nil
}

// Close removes unfinished files. In a folder, complete blobs stay for the next run.
func (e *Exporter) Close() {
	if !e.done {
		e.target.abandon()
	}
}

// taker writes the content of one image.
type taker struct {
	target target
	repo   mirror.Repository

	mu      sync.Mutex
	written int64
	root    *mirror.Manifest // the first
	named   []imagespec.Descriptor
}

// Manifest implements warm.Taker. The index of the layout lists tags, and referrers, which no other manifest names.
func (t *taker) Manifest(tag string, manifest *mirror.Manifest) error {
	name, size := blobName(manifest.Digest), int64(len(manifest.Body))
	if manifest.Digest.Algorithm().FromBytes(manifest.Body) != manifest.Digest {
		return fmt.Errorf("manifest %s cannot be exported: its bytes do not hash to its digest", manifest.Digest)
	}
	if !t.target.has(name, size) {
		if err := t.target.write(name, size, bytes.NewReader(manifest.Body)); err != nil {
			return err
		}
		t.count(size)
	}
	doc, err := document.Parse(manifest.Body)
	if err != nil {
		return nil // package warm reports it
	}
	t.mu.Lock()
	if t.root == nil {
		t.root = manifest
	}
	t.mu.Unlock()
	switch {
	case tag != "":
		t.list(t.repo.String()+":"+tag, manifest)
	case doc.Subject != "":
		t.list("", manifest)
	}
	return nil
}

// list adds a manifest to the index of the layout.
func (t *taker) list(name string, manifest *mirror.Manifest) {
	d := imagespec.Descriptor{MediaType: manifest.MediaType, Digest: manifest.Digest, Size: int64(len(manifest.Body))}
	if name != "" {
		d.Annotations = map[string]string{annotationName: name, imagespec.AnnotationRefName: name}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.named = append(t.named, d)
}

func (t *taker) count(bytes int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.written += bytes
}

// Blob implements warm.Taker.
func (t *taker) Blob(ctx context.Context, blob *mirror.Blob, p warm.Progress) error {
	name := blobName(blob.Digest)
	if t.target.has(name, blob.Size) {
		p.Advance(blob.Size)
		return nil
	}
	for try := 1; ; try++ {
		err := t.write(ctx, name, blob, p)
		if err == nil {
			t.count(blob.Size)
			return nil
		}
		if try == tries || !backend.Transient(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause << try):
		}
	}
}

func (t *taker) write(ctx context.Context, name string, blob *mirror.Blob, p warm.Progress) error {
	body, err := blob.Open(ctx, 0, 0)
	if err != nil {
		return err
	}
	defer body.Close()
	counted := &counter{Reader: body, progress: p}
	err = t.target.write(name, blob.Size, verified(ctx, counted, blob.Digest, blob.Size))
	if err != nil {
		p.Advance(-counted.bytes)
	}
	return err
}

// counter reports the bytes that are read.
type counter struct {
	io.Reader
	progress warm.Progress
	bytes    int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.bytes += int64(n)
	c.progress.Advance(int64(n))
	return n, err
}
