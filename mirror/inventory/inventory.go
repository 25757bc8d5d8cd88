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
	nodes  Node // the number of blobs and manifests
	tags   []tag

	firstManifest Node
	manifests     []manifest // from firstManifest on

	marks map[Node]Marks
	stray []backend.Object
}

// Marks are the times when the garbage collector's marks of an object were written; the zero time: there is none.
type Marks struct{ Tombstone, Used, Deleting, Unwanted time.Time }

// Object describes a blob or manifest.
type Object struct {
	Kind   layout.Content
	Digest digest.Digest
	Size   int64     // bytes
	Stored time.Time // by the store's clock
	Used   time.Time // last; zero if no marker says so
	Marks  Marks
}

// Len returns the number of blobs and manifests, which have the nodes from 0 on.
func (v *Inventory) Len() int { return int(v.nodes) }

// Object describes a node.
func (v *Inventory) Object(n Node) Object {
	t, i := v.tableOf(n)
	return Object{
		Kind: t.kind, Digest: t.digest(i), Size: t.sizes[i], Stored: v.stored(n), Used: v.lastUse(n), Marks: v.marks[n],
	}
}

// Find returns the node of a blob or manifest.
func (v *Inventory) Find(kind layout.Content, d digest.Digest) (Node, bool) { return v.find(kind, d) }

// Marked calls visit for each blob and manifest with a mark, in no particular order.
func (v *Inventory) Marked(visit func(Node, Marks)) {
	for n, m := range v.marks {
		visit(n, m)
	}
}

// StrayMarks returns the marks of what is not in the bucket.
func (v *Inventory) StrayMarks() []backend.Object { return v.stray }

// Walker visits what images need. It serves one goroutine.
type Walker struct {
	inventory *Inventory
	marks     []int32
	round     int32
}

// NewWalker returns a walker of the inventory.
func (v *Inventory) NewWalker() *Walker { return &Walker{inventory: v, marks: make([]int32, v.nodes)} }

// Walk calls visit once for each node that can be reached from the roots, roots included.
func (w *Walker) Walk(visit func(Node), roots ...Node) {
	w.round++
	for _, root := range roots {
		w.inventory.walk(root, w.marks, w.round, visit)
	}
}

// Unreached returns the nodes that cannot be reached from an image.
func (v *Inventory) Unreached() (left []Node) {
	marks := make([]int32, v.nodes)
	for _, root := range v.roots() {
		v.walk(root, marks, 1, func(Node) {})
	}
	for n, mark := range marks {
		if mark == 0 {
			left = append(left, Node(n))
		}
	}
	return left
}

// manifest is what an inventory keeps of a manifest.
type manifest struct {
	mediaType unique.Handle[string] // the zero value if the manifest could not be read
	children  []Node                // what it needs, and its referrers, as far as they are cached
	platforms []unique.Handle[string]
	config    Node // noNode: none is cached
	index     bool
	named     bool // by an index; or it refers to a cached manifest
}

const noNode Node = -1

// manifest returns nil for a blob.
func (v *Inventory) manifest(n Node) *manifest {
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
func (v *Inventory) tableOf(n Node) (*table, int) {
	for _, t := range v.tables {
		if i := int(n - t.first); i < t.len() {
			return t, i
		}
	}
	panic("inventory: no such node")
}

// find returns the node of a blob or manifest.
func (v *Inventory) find(kind layout.Content, d digest.Digest) (Node, bool) {
	if d == "" {
		return 0, false
	}
	for _, t := range v.tables {
		if t.kind != kind || t.algorithm != d.Algorithm() {
			continue
		}
		if i, ok := t.find(d); ok {
			return t.first + Node(i), true
		}
	}
	return 0, false
}

func (v *Inventory) size(n Node) int64 {
	t, i := v.tableOf(n)
	return t.sizes[i]
}

func (v *Inventory) stored(n Node) time.Time {
	t, i := v.tableOf(n)
	return time.Unix(t.stored[i], 0).UTC()
}

// lastUse returns the zero time if no marker says when the object was used.
func (v *Inventory) lastUse(n Node) time.Time {
	t, i := v.tableOf(n)
	if t.used[i] == 0 {
		return time.Time{}
	}
	return time.Unix(t.used[i], 0).UTC()
}

// walk calls visit once for each node that can be reached from root, root included. marks has an element for each node; a
// node is skipped if its mark is already round.
func (v *Inventory) walk(root Node, marks []int32, round int32, visit func(Node)) {
	pending := []Node{root}
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
