package layout

import (
	"strings"

	"github.com/opencontainers/go-digest"
)

// Content is the kind of an object that is stored under its digest.
type Content string

// Kinds of content, as they appear in keys.
const (
	Blobs     Content = "blobs"
	Manifests Content = "manifests"
)

// Mark names an empty object that the garbage collector or a replica writes about content.
type Mark string

// Marks. docs/garbage-collection.md says how they work together.
const (
	Tombstone Mark = "tombstone" // gc will delete the content
	Used      Mark = "used"      // a replica has found the tombstone, and uses the content
	Deleting  Mark = "deleting"  // gc is deleting the content; no replica may rely on it
	Unwanted  Mark = "unwanted"  // an operator has removed the image that begins with this manifest
)

// Marks returns the prefix of all marks.
func (r Realm) Marks() string { return string(r) + "/marks/" }

// Mark returns the key of a mark.
func (r Realm) Mark(kind Content, d digest.Digest, m Mark) string {
	return r.Marks() + string(kind) + "/" + string(d.Algorithm()) + "/" + d.Encoded() + "/" + string(m)
}

// ParseMark returns the parts of a mark's key.
func (r Realm) ParseMark(key string) (kind Content, d digest.Digest, m Mark, ok bool) {
	rest, ok := strings.CutPrefix(key, r.Marks())
	parts := strings.Split(rest, "/")
	if !ok || len(parts) != 4 {
		return "", "", "", false
	}
	kind, m = Content(parts[0]), Mark(parts[3])
	d = digest.NewDigestFromEncoded(digest.Algorithm(parts[1]), parts[2])
	switch m {
	case Tombstone, Used, Deleting, Unwanted:
	default:
		return "", "", "", false
	}
	return kind, d, m, (kind == Blobs || kind == Manifests) && d.Validate() == nil
}

// Content returns the key of content.
func (r Realm) Content(kind Content, d digest.Digest) string { return r.content(string(kind), d) }

// CollectorLease returns the key of the lease of the garbage collector.
func (r Realm) CollectorLease() string { return r.Fills() + "gc/lease" }

// DefaultSize returns the key of the size that a file store has by default.
func (r Realm) DefaultSize() string { return string(r) + "/gc/size" }

// Quarantine is the prefix of objects that were found to be bad, before their former key.
const Quarantine = "quarantine/"

// VerifyProgress returns the key of the record of how far a verification has come.
func (r Realm) VerifyProgress() string { return string(r) + "/verify/progress" }
