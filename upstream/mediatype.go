package upstream

import (
	"mime"
	"regexp"
	"strings"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/entrepot-io/entrepot/bounded"
)

// UnknownType is the media type of a manifest whose type is unknown.
const UnknownType = "application/octet-stream"

// maxMediaType limits a media type in bytes, RFC 6838 section 4.2.
const maxMediaType = 255

// specific matches media types that identify a manifest. All types of manifests are in a tree, such as vnd., or have a
// structured suffix, such as +json. Other types apply to bytes of any kind: application/json, text/plain and the like.
var specific = regexp.MustCompile(`^application/[a-z0-9][a-z0-9!#$&^_-]*[.+][a-z0-9!#$&^_.+-]*$`)

// ParseManifestType returns a media type without its parameters, or an empty string if it does not identify a manifest.
func ParseManifestType(text string) string {
	mediaType, _, err := mime.ParseMediaType(text)
	if err != nil || len(mediaType) > maxMediaType || !specific.MatchString(mediaType) ||
		mediaType == "application/problem+json" || strings.HasSuffix(mediaType, "+xml") {
		return ""
	}
	return mediaType
}

// OwnManifestType returns the media type that a manifest states itself, or an empty string.
func OwnManifestType(body []byte) string { return formOf(body).own() }

// FormType returns the media type that a manifest's fields suggest, or an empty string if they fit several types or none.
func FormType(body []byte) string { return formOf(body).likely() }

const (
	schema1Prefix = "application/vnd.docker.distribution.manifest.v1+"
	schema1Signed = schema1Prefix + "prettyjws"
	schema1Bare   = schema1Prefix + "json"
)

func isSchema1(mediaType string) bool { return strings.HasPrefix(mediaType, schema1Prefix) }

// form holds the fields of a manifest that identify its type. The zero value stands for bytes that are not a JSON object.
type form struct {
	mediaType                                       string
	version                                         int64
	config, layers, manifests, fsLayers, signatures bool
}

func formOf(body []byte) form {
	document, err := bounded.Parse(body)
	if err != nil {
		return form{}
	}
	var f form
	err = document.Fields(func(name string, value bounded.JSON) error {
		switch name {
		case "mediaType":
			f.mediaType, _ = value.Text(maxMediaType)
		case "schemaVersion":
			f.version, _ = value.Number()
		case "config":
			f.config = holdsValues(value)
		case "layers":
			f.layers = holdsValues(value)
		case "manifests":
			f.manifests = holdsValues(value)
		case "fsLayers":
			f.fsLayers = holdsValues(value)
		case "signatures":
			f.signatures = holdsValues(value)
		}
		return nil
	})
	if err != nil {
		return form{}
	}
	return f
}

func holdsValues(value bounded.JSON) bool {
	return value.IsArray() || len(value) > 0 && value[0] == '{'
}

// own returns the stated type. It ignores Docker's first format, which cannot be verified, if the fields contradict it.
func (f form) own() string {
	mediaType := ParseManifestType(f.mediaType)
	if isSchema1(mediaType) && !f.isSchema1() {
		return ""
	}
	return mediaType
}

func (f form) isSchema1() bool { return f.version == 1 }

func (f form) likely() string {
	image, index := f.config || f.layers, f.manifests
	switch {
	case f.isSchema1() && image, f.isSchema1() && index, image && index:
	case f.isSchema1() && f.signatures:
		return schema1Signed
	case f.isSchema1() && f.fsLayers:
		return schema1Bare
	case image:
		return v1.MediaTypeImageManifest
	case index:
		return v1.MediaTypeImageIndex
	}
	return ""
}
