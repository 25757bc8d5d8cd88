package archive

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"regexp"
	"strings"

	"github.com/opencontainers/go-digest"
	imagespec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/mirror"
)

// distributionRoot is where distribution keeps everything, in a folder or bucket.
const distributionRoot = "docker/registry/v2/"

// tagLink matches the file with the digest of a tag.
var tagLink = regexp.MustCompile(`^repositories/(.+)/_manifests/tags/([^/]+)/current/link$`)

// maxLink limits a link to a digest in bytes.
const maxLink = 256

// OpenDistribution is OpenImporter for the folder of a pull-through cache of distribution (the image named registry) that
// mirrors one registry. Such a cache may lack platforms and layers of its images.
func OpenDistribution(ctx context.Context, path, registry string, cfg ImportConfig) (*Importer, error) {
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, err
	}
	return openDistribution(ctx, distributionFolder{folderSource{root}}, registry, cfg)
}

// OpenDistributionStore is OpenDistribution for a bucket.
func OpenDistributionStore(ctx context.Context, store backend.Store, registry string, cfg ImportConfig) (*Importer, error) {
	return openDistribution(ctx, distributionStore{store}, registry, cfg)
}

// distributionFiles are the files below distributionRoot.
type distributionFiles interface {
	source
	// links yields the names of the files in repositories/, or more.
	links(ctx context.Context) iter.Seq2[string, error]
}

func openDistribution(ctx context.Context, files distributionFiles, registry string, cfg ImportConfig) (*Importer, error) {
	cfg.Jobs = cmp.Or(cfg.Jobs, 4)
	i := &Importer{ImportConfig: cfg, from: distribution{files}, partial: true}
	for name, err := range files.links(ctx) {
		if err != nil {
			return nil, errors.Join(fmt.Errorf("list the registry's data: %w", err), files.Close())
		}
		match := tagLink.FindStringSubmatch(name)
		if match == nil {
			continue
		}
		d, err := readLink(ctx, files, name)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("read %s: %w", name, err), files.Close())
		}
		i.index = append(i.index, imagespec.Descriptor{
			Digest: d, Annotations: map[string]string{annotationName: registry + "/" + match[1] + ":" + match[2]},
		})
	}
	if len(i.index) == 0 {
		return nil, errors.Join(fmt.Errorf("%w: no tags below %srepositories", ErrNotDistribution, distributionRoot), files.Close())
	}
	return i, nil
}

// ErrNotDistribution means that there is no data of distribution.
var ErrNotDistribution = errors.New("not the data of a registry")

func readLink(ctx context.Context, files source, name string) (digest.Digest, error) {
	file, _, err := files.open(ctx, name)
	if err != nil {
		return "", err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxLink))
	if err != nil {
		return "", err
	}
	return mirror.ParseDigest(strings.TrimSpace(string(text)))
}

// distribution gives distribution's blobs the names that they have in a layout.
type distribution struct{ distributionFiles }

func (d distribution) open(ctx context.Context, name string) (io.ReadCloser, int64, error) {
	parts := strings.Split(name, "/")
	if len(parts) != 3 || parts[0] != "blobs" || len(parts[2]) < 2 {
		return nil, 0, fmt.Errorf("%s: %w", name, fs.ErrNotExist)
	}
	return d.distributionFiles.open(ctx, "blobs/"+parts[1]+"/"+parts[2][:2]+"/"+parts[2]+"/data")
}

// distributionFolder is a folder as distribution's filesystem driver writes it.
type distributionFolder struct{ folderSource }

func (d distributionFolder) open(ctx context.Context, name string) (io.ReadCloser, int64, error) {
	return d.folderSource.open(ctx, distributionRoot+name)
}

func (d distributionFolder) links(ctx context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		err := fs.WalkDir(d.FS(), distributionRoot+"repositories", func(path string, entry fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case ctx.Err() != nil:
				return ctx.Err()
			case entry.IsDir() && (entry.Name() == "_layers" || entry.Name() == "_uploads" || entry.Name() == "revisions"):
				return fs.SkipDir
			case !entry.IsDir() && !yield(strings.TrimPrefix(path, distributionRoot), nil):
				return fs.SkipAll
			}
			return nil
		})
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			yield("", err)
		}
	}
}

// distributionStore is a bucket as distribution's S3 driver writes it.
type distributionStore struct{ backend.Store }

func (d distributionStore) open(ctx context.Context, name string) (io.ReadCloser, int64, error) {
	body, object, err := d.Get(ctx, distributionRoot+name, backend.Range{})
	if errors.Is(err, backend.ErrNotFound) {
		err = fmt.Errorf("%w: %w", fs.ErrNotExist, err)
	}
	return body, object.Size, err
}

func (d distributionStore) links(ctx context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for object, err := range d.List(ctx, distributionRoot+"repositories/", "") {
			if !yield(strings.TrimPrefix(object.Key, distributionRoot), err) || err != nil {
				return
			}
		}
	}
}

func (distributionStore) Close() error { return nil }
