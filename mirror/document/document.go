// Package document reads what manifests name: configs, layers, children and subjects.
package document

import (
	"strings"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/entrepot-io/entrepot/bounded"
	"github.com/entrepot-io/entrepot/upstream"
)

const (
	maxDigest    = len("sha512:") + 128 // bytes
	maxMediaType = 255                  // bytes, by RFC 6838 section 4.2
	maxPlatform  = 64                   // bytes, of each of its fields
	// maxDescriptors bounds the descriptors that are read of a manifest.
	maxDescriptors = 100_000
)

// Document is what a manifest says. The zero value names nothing.
type Document struct {
	MediaType string // empty if the manifest does not say it
	Config    digest.Digest
	Blobs     []Descriptor // the config and the layers
	Manifests []Descriptor // the children of an index
	Subject   digest.Digest
}

// Descriptor names a blob or a manifest. Its digest is valid.
type Descriptor struct {
	Digest    digest.Digest
	Size      int64 // bytes, as the manifest says; 0 if it does not
	MediaType string
	Platform  v1.Platform   // zero for attestations and if there is none
	Attests   digest.Digest // the child that this attestation is about; see BuildKit's "Image Attestation Storage"
}

// IsForeign reports whether the blob is a layer that registries need not hold, since clients get it elsewhere (image spec,
// "Non-Distributable Layers").
func (d Descriptor) IsForeign() bool {
	return strings.Contains(d.MediaType, ".nondistributable.") || strings.Contains(d.MediaType, ".foreign.")
}

// Parse reads a manifest (image spec, "Image Manifest" and "Image Index"), and no more than 100,000 of its descriptors.
// Invalid descriptors are left out.
func Parse(body []byte) (doc Document, err error) {
	parsed, err := bounded.Parse(body)
	if err != nil {
		return doc, err
	}
	left := maxDescriptors
	appendTo := func(list *[]Descriptor) func(bounded.JSON) error {
		return func(value bounded.JSON) error {
			if left--; left < 0 {
				return bounded.ErrEnough
			}
			if d := readDescriptor(value); d.Digest != "" {
				*list = append(*list, d)
			}
			return nil
		}
	}
	err = parsed.Fields(func(name string, value bounded.JSON) error {
		switch name {
		case "mediaType":
			doc.MediaType, _ = value.Text(maxMediaType)
		case "config":
			doc.Config = readDescriptor(value).Digest
			return appendTo(&doc.Blobs)(value)
		case "layers", "blobs", "fsLayers":
			return value.Elements(appendTo(&doc.Blobs))
		case "manifests":
			return value.Elements(appendTo(&doc.Manifests))
		case "subject":
			doc.Subject = readDescriptor(value).Digest
		}
		return nil
	})
	return doc, err
}

// readDescriptor returns one without a digest if that is missing or invalid.
func readDescriptor(value bounded.JSON) (d Descriptor) {
	_ = value.Fields(func(name string, value bounded.JSON) error { // what is not an object has no digest
		switch name {
		case "digest", "blobSum": // blobSum in Docker's manifests of schema 1
			d.Digest = readDigest(value)
		case "size":
			d.Size, _ = value.Number()
		case "mediaType":
			d.MediaType, _ = value.Text(maxMediaType)
		case "platform":
			d.Platform = Platform(value)
		case "annotations":
			d.Attests = readAttests(value)
		}
		return nil
	})
	return d
}

func readDigest(value bounded.JSON) digest.Digest {
	text, _ := value.Text(maxDigest)
	d, _ := upstream.ParseDigest(text)
	return d
}

func readAttests(annotations bounded.JSON) (d digest.Digest) {
	_ = annotations.Fields(func(name string, value bounded.JSON) error { // what is not an object has no annotations
		if name == "vnd.docker.reference.digest" {
			d = readDigest(value)
		}
		return nil
	})
	return d
}

// Platform reads a descriptor's platform, or an image's config, which has the same fields. BuildKit gives attestations the
// platform unknown/unknown, which counts as none.
func Platform(value bounded.JSON) (p v1.Platform) {
	fields := map[string]*string{"os": &p.OS, "architecture": &p.Architecture, "variant": &p.Variant}
	_ = value.Fields(func(name string, value bounded.JSON) error { // what is not an object names no platform
		if field := fields[name]; field != nil {
			*field, _ = value.Text(maxPlatform)
		}
		return nil
	})
	if p.OS == "unknown" {
		return v1.Platform{}
	}
	return p
}
