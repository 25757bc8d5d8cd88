package layout

import (
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
)

// ParseContent returns the kind and the digest of content from its key.
func (r Realm) ParseContent(key string) (kind Content, d digest.Digest, ok bool) {
	rest, ok := strings.CutPrefix(key, string(r)+"/")
	parts := strings.Split(rest, "/")
	if !ok || len(parts) != 3 || Content(parts[0]) != Blobs && Content(parts[0]) != Manifests {
		return "", "", false
	}
	d = digest.NewDigestFromEncoded(digest.Algorithm(parts[1]), parts[2])
	return Content(parts[0]), d, d.Validate() == nil
}

// ParseTag returns the names in the key of a tag's record.
func (r Realm) ParseTag(key string) (registry, repository, tag string, ok bool) {
	rest, ok := strings.CutPrefix(key, string(r)+"/tags/")
	path, escaped, hasTag := strings.Cut(rest, "/_/")
	registry, repository, hasRepository := strings.Cut(path, "/")
	if !ok || !hasTag || !hasRepository || repository == "" || escaped == "" || strings.Contains(escaped, "/") {
		return "", "", "", false
	}
	return registry, repository, unescape(escaped), true
}

// ParseUse returns the digest in the key of a marker of use. Earlier versions wrote a marker for each day (2006-01-02, UTC).
func ParseUse(key string) (d digest.Digest, ok bool) {
	rest, ok := strings.CutPrefix(key, Uses)
	folder, name, hasName := strings.Cut(rest, "/")
	if !ok || !hasName {
		return "", false
	}
	d = digest.NewDigestFromEncoded(digest.Algorithm(folder), name)
	if _, err := time.Parse(time.DateOnly, folder); err == nil {
		d = digest.Digest(name)
	}
	return d, d.Validate() == nil
}

// unescape reverses escape.
func unescape(escaped string) string {
	if all, ok := strings.CutPrefix(escaped, "!!"); ok {
		return strings.ToUpper(all)
	}
	var tag strings.Builder
	for i := 0; i < len(escaped); i++ {
		if escaped[i] == '!' && i+1 < len(escaped) {
			i++
			tag.WriteString(strings.ToUpper(escaped[i : i+1]))
			continue
		}
		tag.WriteByte(escaped[i])
	}
	return tag.String()
}

// ParseManifestIn returns the digest in a key of ManifestIn.
func (r Realm) ParseManifestIn(key string) (d digest.Digest, ok bool) {
	rest, ok := strings.CutPrefix(key, string(r)+"/types/")
	_, name, hasName := strings.Cut(rest, "/_/")
	algorithm, hex, hasHex := strings.Cut(name, "/")
	d = digest.NewDigestFromEncoded(digest.Algorithm(algorithm), hex)
	return d, ok && hasName && hasHex && d.Validate() == nil
}
