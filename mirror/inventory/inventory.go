package inventory

import (
	"time"
	"unique"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/mirror/layout"
)

// Amount counts objects.
type Amount struct {
	Objects int64 `json:"objects"`
	Bytes   int64 `json:"bytes"`
}

func (a *Amount) add(bytes int64) {
	a.Objects++
	a.Bytes += bytes
}

// Inventory is the content of a bucket at the time when it was read. It does not change afterwards and can be used
// concurrently.
type Inventory struct {
	Total Amount // all objects of entrepot
	Fills Amount // unfinished: segments, leases and what probes left

	// Damaged lists the objects that could not be read, with the reason. The rest of the inventory is complete.
	Damaged []Damage

	store  backend.Store
	realm  layout.Realm
	tables []*table
	nodes  node // the number of blobs and manifests
	tags   []tag

	firstManifest node
	manifests     []manifest // from firstManifest on
}

// manifest is what an inventory keeps of a manifest.
type manifest struct {
	mediaType unique.Handle[string] // the zero value if the manifest could not be read
	children  []node                // what it needs, and its referrers, as far as they are cached
	platforms []unique.Handle[string]
	config    node // noNode: none is cached
	index     bool
	named     bool // by an index; or it refers to a cached manifest
}

const noNode node = -1

// manifest returns nil for a blob.
func (v *Inventory) manifest(n node) *manifest {
	if n < v.firstManifest {
		return nil
	}
	return &v.manifests[n-v.firstManifest]
}

func (m *manifest) typeName() string {
	if m.mediaType == (unique.Handle[string]{}) {
		return ""
	}
	return m.mediaType.Value()
}

// Damage is an object that could not be read.
type Damage struct {
	Key string
	Err error
}

// tag is a tag's record.
type tag struct {
	registry, repository, name string
	key                        string
	digest                     digest.Digest // empty: the upstream has no such tag
	mediaType                  string
	checked                    time.Time
}

// tableOf returns the table of a node and the index in it.
func (v *Inventory) tableOf(n node) (*table, int) {
	for _, t := range v.tables {
		if i := int(n - t.first); i < t.len() {
			return t, i
		}
	}
	panic("inventory: no such node")
}

// find returns the node of a blob or manifest.
func (v *Inventory) find(kind string, d digest.Digest) (node, bool) {
	if d == "" {
		return 0, false
	}
	for _, t := range v.tables {
		if t.kind != kind || t.algorithm != d.Algorithm() {
			continue
		}
		if i, ok := t.find(d); ok {
			return t.first + node(i), true
		}
	}
	return 0, false
}

func (v *Inventory) size(n node) int64 {
	t, i := v.tableOf(n)
	return t.sizes[i]
}

func (v *Inventory) stored(n node) time.Time {
	t, i := v.tableOf(n)
	return time.Unix(t.stored[i], 0).UTC()
}

// lastUse returns the zero time if no marker says when the object was used.
func (v *Inventory) lastUse(n node) time.Time {
	t, i := v.tableOf(n)
	if t.used[i] == 0 {
		return time.Time{}
	}
	return time.Unix(int64(t.used[i])*secondsPerDay, 0).UTC()
}

const secondsPerDay = 24 * 60 * 60

// walk calls visit once for each node that can be reached from root, root included. marks has an element for each node; a
// node is skipped if its mark is already round.
func (v *Inventory) walk(root node, marks []int32, round int32, visit func(node)) {
	pending := []node{root}
	for len(pending) > 0 {
		n := pending[len(pending)-1]
		pending = pending[:len(pending)-1]
		if marks[n] == round {
			continue
		}
		marks[n] = round
		visit(n)
		if m := v.manifest(n); m != nil {
			pending = append(pending, m.children...)
		}
	}
}
