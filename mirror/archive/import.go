package archive

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"sync"

	"github.com/opencontainers/go-digest"
	imagespec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/bounded"
	"github.com/entrepot-io/entrepot/mirror"
	"github.com/entrepot-io/entrepot/mirror/document"
	"github.com/entrepot-io/entrepot/mirror/intake"
	"github.com/entrepot-io/entrepot/mirror/layout"
	"github.com/entrepot-io/entrepot/mirror/warm"
	"github.com/entrepot-io/entrepot/upstream"
)

// ErrNotLayout means that there is no OCI image layout.
var ErrNotLayout = errors.New("not an OCI image layout")

// ImportConfig says where to store what is imported. All but Jobs are required.
type ImportConfig struct {
	Mirror *mirror.Mirror
	Store  backend.Store // of the mirror
	Realm  layout.Realm
	// Parse reads an image's name: REGISTRY/REPOSITORY:TAG, or with a digest.
	Parse func(name string) (mirror.Repository, mirror.Reference, error)
	Jobs  int // concurrent blobs; 0: 4
}

// Importer reads a layout into the cache. It serves one goroutine.
type Importer struct {
	ImportConfig
	from  source
	index []imagespec.Descriptor

	// referrers are the manifests that refer to a digest, by that digest.
	referrers map[digest.Digest][]imagespec.Descriptor
	tags      map[string]bool // names in the index

	// partial means that the source is a cache: it may lack blobs, and says nothing about referrers.
	partial bool
}

// OpenImporter opens a layout in a folder or a tar file. Close the importer. Errors: ErrNotLayout, the file system's.
func OpenImporter(ctx context.Context, path string, cfg ImportConfig) (*Importer, error) {
	cfg.Jobs = cmp.Or(cfg.Jobs, 4)
	from, err := openSource(path)
	if err != nil {
		return nil, err
	}
	i := &Importer{
		ImportConfig: cfg, from: from, referrers: map[digest.Digest][]imagespec.Descriptor{}, tags: map[string]bool{},
	}
	if i.index, err = readIndex(ctx, from); err != nil {
		from.Close()
		if errors.Is(err, fs.ErrNotExist) {
			err = ErrNotLayout
		}
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	for _, d := range i.index {
		i.tags[nameOf(d)] = true
		i.findReferrer(ctx, d)
	}
	return i, nil
}

// Close closes the layout.
func (i *Importer) Close() error { return i.from.Close() }

// readIndex reads the index of a layout. Error: fs.ErrNotExist.
func readIndex(ctx context.Context, from source) ([]imagespec.Descriptor, error) {
	var version imagespec.ImageLayout
	if err := readJSON(ctx, from, imagespec.ImageLayoutFile, &version); err != nil {
		return nil, err
	}
	if version.Version != imagespec.ImageLayoutVersion {
		return nil, fmt.Errorf("%w of version %s, but of version %.20q", ErrNotLayout, imagespec.ImageLayoutVersion, version.Version)
	}
	var index imagespec.Index
	if err := readJSON(ctx, from, imagespec.ImageIndexFile, &index); err != nil {
		return nil, err
	}
	for _, d := range index.Manifests {
		if _, err := mirror.ParseDigest(d.Digest.String()); err != nil {
			return nil, fmt.Errorf("%s: %w", imagespec.ImageIndexFile, err)
		}
	}
	return index.Manifests, nil
}

func readJSON(ctx context.Context, from source, name string, into any) error {
	file, size, err := from.open(ctx, name)
	if err != nil {
		return err
	}
	defer file.Close()
	if size > maxIndex {
		return fmt.Errorf("%s has %d bytes, more than %d", name, size, maxIndex)
	}
	if err := json.NewDecoder(file).Decode(into); err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	return nil
}

// nameOf returns the full name of an image in an index, or an empty string.
func nameOf(d imagespec.Descriptor) string {
	if name := d.Annotations[annotationName]; name != "" {
		return name
	}
	if name := d.Annotations[imagespec.AnnotationRefName]; strings.Contains(name, "/") {
		return name
	}
	return ""
}

// findReferrer records a manifest that refers to another.
func (i *Importer) findReferrer(ctx context.Context, d imagespec.Descriptor) {
	body, err := i.read(ctx, d.Digest)
	if err != nil {
		return // its import reports the error
	}
	var manifest struct {
		MediaType    string               `json:"mediaType"`
		ArtifactType string               `json:"artifactType"`
		Config       imagespec.Descriptor `json:"config"`
		Subject      imagespec.Descriptor `json:"subject"`
		Annotations  map[string]string    `json:"annotations"`
	}
	if json.Unmarshal(body, &manifest) != nil || manifest.Subject.Digest == "" {
		return
	}
	subject := manifest.Subject.Digest
	i.referrers[subject] = append(i.referrers[subject], imagespec.Descriptor{
		MediaType: cmp.Or(manifest.MediaType, d.MediaType), Digest: d.Digest, Size: int64(len(body)),
		ArtifactType: cmp.Or(manifest.ArtifactType, manifest.Config.MediaType), Annotations: manifest.Annotations,
	})
}

// read reads a manifest and verifies it. Error: fs.ErrNotExist.
func (i *Importer) read(ctx context.Context, d digest.Digest) ([]byte, error) {
	file, size, err := i.from.open(ctx, blobName(d))
	if err != nil {
		return nil, err
	}
	defer file.Close()
	if size > upstream.MaxManifest {
		return nil, fmt.Errorf("%w: manifest %s has %d bytes", bounded.ErrTooLarge, d, size)
	}
	return io.ReadAll(verified(ctx, file, d, size))
}

// Entry is an image in the layout.
type Entry struct {
	Name   string // REGISTRY/REPOSITORY:TAG; empty: it has no full name
	Digest digest.Digest
	root   imagespec.Descriptor
}

// Entries returns the images in the layout, without referrers of others.
func (i *Importer) Entries() (entries []Entry) {
	referrers := map[digest.Digest]bool{}
	for _, all := range i.referrers {
		for _, d := range all {
			referrers[d.Digest] = true
		}
	}
	for _, d := range i.index {
		if name := nameOf(d); name != "" || !referrers[d.Digest] {
			entries = append(entries, Entry{name, d.Digest, d})
		}
	}
	return entries
}

// Imported is what was stored of an image.
type Imported struct {
	Bytes  int64 // of the image and its referrers, as far as they are in the layout
	Stored int64 // the part of Bytes that was not cached before; of blobs
}

// ErrNoName means that the layout does not say the full name of an image.
var ErrNoName = errors.New("the layout does not name its registry and repository")

// Image stores an image with its referrers, and then its tag. Errors: ErrNoName, intake.ErrDigest, the file system's, the
// store's, the context's, those of Parse.
func (i *Importer) Image(ctx context.Context, e Entry, p warm.Progress) (Imported, error) {
	if e.Name == "" {
		return Imported{}, ErrNoName
	}
	repo, ref, err := i.Parse(e.Name)
	if err != nil {
		return Imported{}, err
	}
	m := &image{Importer: i, repo: repo, progress: p, seen: map[digest.Digest]bool{}}
	err = m.content(ctx, e.root)
	if err == nil {
		err = m.manifests(ctx, ref.Tag())
	}
	return m.imported, err
}

// image is one image that is imported.
type image struct {
	*Importer
	repo     mirror.Repository
	progress warm.Progress
	group    *errgroup.Group
	seen     map[digest.Digest]bool
	found    []imagespec.Descriptor // manifests: an index before its children, all before their referrers

	mu       sync.Mutex
	imported Imported
}

func (m *image) count(bytes, stored int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.imported.Bytes += bytes
	m.imported.Stored += stored
}

// content finds the manifests of an image and its referrers, and stores their blobs.
func (m *image) content(ctx context.Context, root imagespec.Descriptor) error {
	m.group, ctx = errgroup.WithContext(ctx)
	m.group.SetLimit(m.Jobs)
	err := m.walk(ctx, root)
	if wait := m.group.Wait(); wait != nil {
		return wait
	}
	return err
}

func (m *image) walk(ctx context.Context, d imagespec.Descriptor) error {
	if m.seen[d.Digest] {
		return nil
	}
	m.seen[d.Digest] = true
	body, err := m.read(ctx, d.Digest)
	if errors.Is(err, fs.ErrNotExist) && len(m.found) > 0 {
		return nil // the layout has only some platforms
	}
	if err != nil {
		return fmt.Errorf("manifest %s: %w", d.Digest, err)
	}
	m.count(int64(len(body)), 0)
	m.found = append(m.found, d)
	doc, err := document.Parse(body)
	if err != nil {
		return fmt.Errorf("read manifest %s: %w", d.Digest, err)
	}
	for _, blob := range doc.Blobs {
		if !m.seen[blob.Digest] && !blob.IsForeign() {
			m.seen[blob.Digest] = true
			m.group.Go(func() error { return m.blob(ctx, blob.Digest) })
		}
	}
	for _, child := range doc.Manifests {
		if err := m.walk(ctx, imagespec.Descriptor{MediaType: child.MediaType, Digest: child.Digest}); err != nil {
			return err
		}
	}
	for _, referrer := range m.referrers[d.Digest] {
		if err := m.walk(ctx, referrer); err != nil {
			return err
		}
	}
	return nil
}

// blob stores a blob unless it is cached.
func (m *image) blob(ctx context.Context, d digest.Digest) error {
	cached, err := m.Mirror.HasBlob(ctx, d)
	if err != nil {
		return err
	}
	file, size, err := m.from.open(ctx, blobName(d))
	switch {
	case (cached || m.partial) && errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("blob %s: %w", d, err)
	}
	file.Close()
	m.progress.Expect(size)
	if cached {
		m.progress.Advance(size)
		m.count(size, 0)
		return nil
	}
	err = intake.Put(ctx, m.Store, intake.Object{Key: m.Realm.Blob(d), Digest: d, Size: size, Open: func(ctx context.Context) (io.ReadCloser, error) {
		file, _, err := m.from.open(ctx, blobName(d))
		if err != nil {
			return nil, err
		}
		return struct {
			io.Reader
			io.Closer
		}{obeying{ctx, &counter{Reader: file, progress: m.progress}}, file}, nil
	}})
	if err != nil {
		return fmt.Errorf("blob %s: %w", d, err)
	}
	m.count(size, size)
	return nil
}

// manifests stores manifests after what they name, then the lists of referrers, and at last the tag.
func (m *image) manifests(ctx context.Context, tag string) error {
	var root *mirror.Manifest
	for _, d := range slices.Backward(m.found) {
		body, err := m.read(ctx, d.Digest)
		if err != nil {
			return fmt.Errorf("manifest %s: %w", d.Digest, err)
		}
		if root, err = m.Mirror.AdoptManifest(ctx, m.repo, d.Digest, d.MediaType, body); err != nil {
			return err
		}
	}
	for _, d := range m.found {
		if m.partial {
			break
		}
		referrers := map[digest.Digest][]byte{}
		for _, r := range m.referrers[d.Digest] {
			text, err := json.Marshal(r)
			if err != nil {
				return err
			}
			referrers[r.Digest] = text
		}
		byTag := m.tags[m.repo.String()+":"+strings.Replace(d.Digest.String(), ":", "-", 1)]
		if err := m.Mirror.AdoptReferrers(ctx, m.repo, d.Digest, byTag, referrers); err != nil {
			return fmt.Errorf("record referrers of %s: %w", d.Digest, err)
		}
	}
	if tag == "" {
		return nil
	}
	if err := m.Mirror.AdoptTag(ctx, m.repo, tag, root); err != nil {
		return fmt.Errorf("record tag %s: %w", tag, err)
	}
	return nil
}
