// Package layout defines the keys of all objects in the bucket. They are derived from content or names, so that replicas need
// no index and no database. docs/architecture.md lists them.
package layout

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/opencontainers/go-digest"
)

// Realm is a domain of access. It is the first segment of its objects' keys, so content of one realm cannot be reached through
// another.
type Realm string

// Public is the realm shared by all repositories that every client may read.
const Public Realm = "public"

// Blob returns the key of a verified blob.
func (r Realm) Blob(d digest.Digest) string { return r.content("blobs", d) }

// Manifest returns the key of a verified manifest.
func (r Realm) Manifest(d digest.Digest) string { return r.content("manifests", d) }

// ManifestIn returns the key of a verified manifest as one repository has it: its object carries the media type that this
// repository's upstream says, since the bytes do not say one.
func (r Realm) ManifestIn(registry, repository string, d digest.Digest) string {
	return fmt.Sprintf("%s/types/%s/%s/_/%s/%s", r, registry, repository, d.Algorithm(), d.Encoded())
}

// Lasting returns the prefixes of what makes up the cache, each after those that its objects refer to: blobs, manifests, their
// media types, lists, tags. Not among them is what concerns only this bucket: fills, marks, uses.
func (r Realm) Lasting() []string {
	return []string{r.prefix("blobs"), r.prefix("manifests"), r.prefix("types"), r.prefix("lists"), r.prefix("tags")}
}

func (r Realm) prefix(kind string) string { return string(r) + "/" + kind + "/" }

// Tag returns the key of a tag's record. The segment "_", which no repository's name contains, separates the tag web of org/app
// from the folder with the tags of org/app/web, since file stores and MinIO refuse an object where others have a folder.
func (r Realm) Tag(registry, repository, tag string) string {
	return string(r) + "/tags/" + registry + "/" + repository + "/_/" + escape(tag) // without Sprintf: every hit calls it
}

// Fills returns the prefix of everything that is only needed while content is fetched.
func (r Realm) Fills() string { return string(r) + "/fills/" }

// BlobFills returns the prefix of fills of blobs with digest algorithm a. Each fill has a folder in it.
func (r Realm) BlobFills(a digest.Algorithm) string { return r.Fills() + string(a) + "/" }

// TagList returns the key of the list of a repository's tags. The segment "_" has the same purpose as in Tag.
func (r Realm) TagList(registry, repository string) string {
	return string(r) + "/lists/tags/" + registry + "/" + repository + "/_/all"
}

// ReferrerList returns the key of the list of a repository's manifests that refer to a digest.
func (r Realm) ReferrerList(registry, repository string, d digest.Digest) string {
	return fmt.Sprintf("%s/lists/referrers/%s/%s/_/%s/%s", r, registry, repository, d.Algorithm(), d.Encoded())
}

// ReferrersAPI returns the key of the record about a repository's referrers API. No digest algorithm has this name.
func (r Realm) ReferrersAPI(registry, repository string) string {
	return string(r) + "/lists/referrers/" + registry + "/" + repository + "/_/api"
}

// ListLease returns the key of the lease for fetching the list with the key list of this realm.
func (r Realm) ListLease(list string) string {
	return string(r) + "/fills/" + strings.TrimPrefix(list, string(r)+"/")
}

// Fill returns the prefix of a blob's fill: its segments and its lease.
func (r Realm) Fill(d digest.Digest) string { return r.content("fills", d) + "/" }

// Segment returns the key of segment n of a blob's fill, written under the lease with the given epoch. Keys sort like their
// numbers.
func (r Realm) Segment(d digest.Digest, n int, epoch string) string {
	return fmt.Sprintf("%s%05d.%s", r.Fill(d), n, epoch)
}

// ParseSegment parses the part of a segment's key after the prefix Fill.
func ParseSegment(name string) (n int, epoch string, ok bool) {
	number, epoch, ok := strings.Cut(name, ".")
	n, err := strconv.Atoi(number)
	return n, epoch, ok && err == nil && n >= 0 && epoch != "" && fmt.Sprintf("%05d", n) == number
}

// FillLease returns the key of the lease of a blob's fill.
func (r Realm) FillLease(d digest.Digest) string { return r.Fill(d) + "lease" }

// ManifestLease returns the key of the lease for fetching a manifest.
func (r Realm) ManifestLease(d digest.Digest) string {
	return fmt.Sprintf("%s/fills/manifests/%s/%s", r, d.Algorithm(), d.Encoded())
}

// TagLease returns the key of the lease for resolving a tag.
func (r Realm) TagLease(registry, repository, tag string) string {
	return fmt.Sprintf("%s/fills/tags/%s/%s/_/%s", r, registry, repository, escape(tag))
}

// Uses is the prefix of the markers of use.
const Uses = "access/"

// Use returns the key of the marker of an object's last use, which is when the marker was written. It is the same for all
// realms.
func Use(d digest.Digest) string { return Uses + string(d.Algorithm()) + "/" + d.Encoded() }

// Probe returns the prefix of objects written to find out what a store can do.
func (r Realm) Probe() string { return string(r) + "/fills/probe/" }

// escape replaces each upper-case letter by an exclamation mark and the lower-case letter, as Go's module cache does, since some
// file systems ignore case. No tag contains an exclamation mark. All other parts of keys are entirely in lower or, like
// epochs, entirely in upper case.
func escape(tag string) string {
	upper := 0
	for i := range len(tag) {
		if isUpper(tag[i]) {
			upper++
		}
	}
	switch {
	case upper == 0:
		return tag
	case len(tag)+upper > maxSegment:
		return "!!" + strings.ToLower(tag) // only for a tag of 128 capitals
	}
	escaped := make([]byte, 0, len(tag)+upper)
	for i := range len(tag) {
		c := tag[i]
		if isUpper(c) {
			escaped, c = append(escaped, '!'), c+('a'-'A')
		}
		escaped = append(escaped, c)
	}
	return string(escaped)
}

// maxSegment is the maximum length of a file name in bytes on most file systems.
const maxSegment = 255

func isUpper(c byte) bool { return 'A' <= c && c <= 'Z' }

func (r Realm) content(kind string, d digest.Digest) string {
	return string(r) + "/" + kind + "/" + string(d.Algorithm()) + "/" + d.Encoded() // without Sprintf: every hit calls it
}
