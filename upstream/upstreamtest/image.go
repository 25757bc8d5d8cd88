package upstreamtest

import (
	"bytes"
	"encoding/json"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Image is a pushed image. Its descriptor has the platform.
type Image struct {
	ocispec.Descriptor
	Body   []byte // the manifest
	Config ocispec.Descriptor
	Layers []ocispec.Descriptor
}

// Index is a pushed index. Its children are the images, then their attestations.
type Index struct {
	ocispec.Descriptor
	Body         []byte
	Images       []Image
	Attestations []Image
}

// Image pushes a linux/amd64 image with a layer of each size in bytes, and moves the tag to it unless the tag is empty. Each
// call makes new layers, which are random and not compressed. Layers of 2 KiB or more are tar archives that clients can
// unpack.
func (r *Registry) Image(repo, tag string, layers ...int64) Image {
	return r.image(repo, tag, "amd64", r.layers(repo, layers))
}

// ImageOf is Image with given layers, for images that share some. It does not add them to the repository.
func (r *Registry) ImageOf(repo, tag string, layers ...ocispec.Descriptor) Image {
	return r.image(repo, tag, "amd64", layers)
}

// Index pushes an index with a linux/amd64 and a linux/arm64 image, each with layers of these sizes. Like BuildKit, it adds
// an attestation for each, with the platform unknown/unknown.
func (r *Registry) Index(repo, tag string, layers ...int64) Index {
	var index Index
	for _, arch := range []string{"amd64", "arm64"} {
		index.Images = append(index.Images, r.image(repo, "", arch, r.layers(repo, layers)))
	}
	var children []ocispec.Descriptor
	for _, image := range index.Images {
		index.Attestations = append(index.Attestations, r.attestation(repo, image))
		children = append(children, image.Descriptor)
	}
	for _, attestation := range index.Attestations {
		children = append(children, attestation.Descriptor)
	}
	index.Body = encode(ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: ocispec.MediaTypeImageIndex,
		Manifests: children,
	})
	index.Descriptor = r.Manifest(repo, tag, ocispec.MediaTypeImageIndex, index.Body)
	return index
}

func (r *Registry) layers(repo string, sizes []int64) []ocispec.Descriptor {
	var layers []ocispec.Descriptor
	for _, size := range sizes {
		d := r.Blob(repo, layer(r.nextSeed(), size))
		layers = append(layers, ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayer, Digest: d, Size: size})
	}
	return layers
}

func (r *Registry) nextSeed() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seed++
	return r.seed
}

func (r *Registry) image(repo, tag, arch string, layers []ocispec.Descriptor) Image {
	platform := ocispec.Platform{OS: "linux", Architecture: arch}
	diffs := []digest.Digest{}
	for _, layer := range layers {
		diffs = append(diffs, layer.Digest) // nothing is compressed
	}
	return r.push(repo, tag, layers, ocispec.Image{
		Platform: platform,
		Config:   ocispec.ImageConfig{Env: []string{"PATH=/usr/bin:/bin"}, Cmd: []string{"/bin/sh"}},
		RootFS:   ocispec.RootFS{Type: "layers", DiffIDs: diffs},
	})
}

// attestation pushes an attestation like BuildKit's: an image manifest whose layer is an in-toto statement.
func (r *Registry) attestation(repo string, of Image) Image {
	statement := encode(map[string]any{
		"_type":         "https://in-toto.io/Statement/v0.1",
		"predicateType": "https://slsa.dev/provenance/v0.2",
		"subject":       []map[string]any{{"name": repo, "digest": map[string]string{"sha256": of.Digest.Encoded()}}},
		"predicate":     map[string]any{},
	})
	layer := ocispec.Descriptor{
		MediaType:   "application/vnd.in-toto+json",
		Digest:      r.Blob(repo, bytes.NewReader(statement)),
		Size:        int64(len(statement)),
		Annotations: map[string]string{"in-toto.io/predicate-type": "https://slsa.dev/provenance/v0.2"},
	}
	image := r.push(repo, "", []ocispec.Descriptor{layer}, ocispec.Image{
		Platform: ocispec.Platform{OS: "unknown", Architecture: "unknown"},
		RootFS:   ocispec.RootFS{Type: "layers", DiffIDs: []digest.Digest{layer.Digest}},
	})
	image.Annotations = map[string]string{
		"vnd.docker.reference.type":   "attestation-manifest",
		"vnd.docker.reference.digest": of.Digest.String(),
	}
	return image
}

func (r *Registry) push(repo, tag string, layers []ocispec.Descriptor, config ocispec.Image) Image {
	data := encode(config)
	image := Image{Layers: layers, Config: ocispec.Descriptor{
		MediaType: ocispec.MediaTypeImageConfig,
		Digest:    r.Blob(repo, bytes.NewReader(data)),
		Size:      int64(len(data)),
	}}
	if layers == nil {
		layers = []ocispec.Descriptor{} // null is no valid manifest
	}
	image.Body = encode(ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: ocispec.MediaTypeImageManifest,
		Config:    image.Config,
		Layers:    layers,
	})
	image.Descriptor = r.Manifest(repo, tag, ocispec.MediaTypeImageManifest, image.Body)
	image.Platform = &config.Platform
	return image
}

// encode indents like Docker, so that a mirror that encodes again changes the bytes.
func encode(v any) []byte {
	data, err := json.MarshalIndent(v, "", "   ")
	if err != nil {
		panic(err) // only our own structs come here
	}
	return data
}
