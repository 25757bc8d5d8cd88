package layout

import (
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
)

// ParseContent returns the kind ("blobs" or "manifests") and the digest of content from its key.
func (r Realm) ParseContent(key string) (kind string, d digest.Digest, ok bool) {
	rest, ok := strings.CutPrefix(key, string(r)+"/")
	parts := strings.Split(rest, "/")
	if !ok || len(parts) != 3 || parts[0] != "blobs" && parts[0] != "manifests" {
		return "", "", false
	}
	d = digest.NewDigestFromEncoded(digest.Algorithm(parts[1]), parts[2])
	return parts[0], d, d.Validate() == nil
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

// ParseUse returns the day and the digest in the key of a marker of use.
func ParseUse(key string) (day time.Time, d digest.Digest, ok bool) {
	rest, ok := strings.CutPrefix(key, Uses)
	date, name, hasDigest := strings.Cut(rest, "/")
	day, err := time.Parse(time.DateOnly, date)
	d = digest.Digest(name)
	return day, d, ok && hasDigest && err == nil && d.Validate() == nil
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
