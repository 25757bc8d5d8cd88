package inventory

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unique"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/bounded"
	"github.com/entrepot-io/entrepot/mirror/document"
	"github.com/entrepot-io/entrepot/mirror/layout"
)

const (
	readers = 32 // concurrent requests
	// buffers bounds the bytes of records and manifests that are in memory at a time.
	buffers     = 48 << 20
	maxManifest = 8 << 20
	maxRecord   = 64 << 10
)

// Config says which bucket to read. Store is required.
type Config struct {
	Store backend.Store
	Realm layout.Realm
	// Progress is called now and then, by several goroutines, with the number of objects listed, and of records and
	// manifests read; may be nil.
	Progress func(listed, read int64)
}

// Read lists the bucket and reads the records of tags and the manifests. Objects that come or go meanwhile may be missing.
// Damaged objects are no errors: see Inventory.Damaged. Errors: the store's, the context's.
func Read(ctx context.Context, cfg Config) (*Inventory, error) {
	r := &reader{
		Inventory: &Inventory{store: cfg.Store, realm: cfg.Realm},
		progress:  cfg.Progress,
		memory:    bounded.NewBudget(buffers),
	}
	if r.progress == nil {
		r.progress = func(int64, int64) {}
	}
	if err := r.list(ctx); err != nil {
		return nil, err
	}
	if err := r.load(ctx); err != nil {
		return nil, err
	}
	return r.Inventory, nil
}

// reader makes an inventory.
type reader struct {
	*Inventory
	progress func(listed, read int64)
	memory   *bounded.Budget
	read     atomic.Int64
	marked   []backend.Object

	mu sync.Mutex // guards Damaged and manifests while they are loaded
}

// list lists all objects except those that sort before the markers of use, which are not entrepot's. The markers come last,
// since the objects that they name must be known.
func (r *reader) list(ctx context.Context) error {
	const afterUses = "access0" // the least key behind those with the prefix access/
	for object, err := range r.store.List(ctx, "", afterUses) {
		if err != nil {
			return fmt.Errorf("list the bucket: %w", err)
		}
		r.count(object)
		r.take(object)
	}
	for _, t := range r.tables {
		t.first = r.nodes
		r.nodes += Node(t.len())
		if t.kind == layout.Blobs { // blobs are listed before manifests
			r.firstManifest = r.nodes
		}
	}
	r.manifests = make([]manifest, r.nodes-r.firstManifest)
	for i := range r.manifests {
		r.manifests[i].config = noNode
	}
	r.takeMarks()
	for object, err := range r.store.List(ctx, layout.Uses, "") {
		if err != nil {
			return fmt.Errorf("list the markers of use: %w", err)
		}
		r.count(object)
		if d, ok := layout.ParseUse(object.Key); ok {
			r.takeUse(object.Modified, d)
		}
	}
	return nil
}

func (r *reader) count(object backend.Object) {
	r.Total.add(object.Size)
	if r.Total.Objects%1000 == 0 {
		r.progress(r.Total.Objects, 0)
	}
}

// take adds an object to what it belongs to. Lists and media types are only counted.
func (r *reader) take(object backend.Object) {
	if kind, d, ok := r.realm.ParseContent(object.Key); ok {
		r.table(kind, d.Algorithm()).add(d, object.Size, object.Modified)
		return
	}
	if strings.HasPrefix(object.Key, r.realm.Fills()) {
		r.Fills.add(object.Size)
		return
	}
	if strings.HasPrefix(object.Key, r.realm.Marks()) {
		r.marked = append(r.marked, object)
		return
	}
	if registry, repository, name, ok := r.realm.ParseTag(object.Key); ok {
		r.tags = append(r.tags, tag{
			registry: registry, repository: repository, name: name, key: object.Key, checked: object.Modified.UTC(),
		})
	}
}

// table returns the table to which an object is added. The keys of one table are listed together.
func (r *reader) table(kind layout.Content, algorithm digest.Algorithm) *table {
	if n := len(r.tables); n > 0 && r.tables[n-1].kind == kind && r.tables[n-1].algorithm == algorithm {
		return r.tables[n-1]
	}
	t := &table{kind: kind, algorithm: algorithm, width: algorithm.Size()}
	r.tables = append(r.tables, t)
	return t
}

// takeMarks joins the garbage collector's marks with what they are about.
func (r *reader) takeMarks() {
	r.marks = map[Node]Marks{}
	for _, object := range r.marked {
		kind, d, mark, ok := r.realm.ParseMark(object.Key)
		n, found := r.find(kind, d)
		if !ok || !found {
			r.stray = append(r.stray, object)
			continue
		}
		m := r.marks[n]
		switch mark {
		case layout.Tombstone:
			m.Tombstone = object.Modified
		case layout.Used:
			m.Used = object.Modified
		case layout.Deleting:
			m.Deleting = object.Modified
		case layout.Unwanted:
			m.Unwanted = object.Modified
		}
		r.marks[n] = m
	}
	r.marked = nil
}

func (r *reader) takeUse(at time.Time, d digest.Digest) {
	for _, t := range r.tables {
		if i, ok := t.find(d); ok {
			t.used[i] = max(t.used[i], at.Unix())
		}
	}
}

// load reads the records of tags and the manifests.
func (r *reader) load(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(readers)
	for i := range r.tags {
		group.Go(func() error { return r.loadTag(ctx, &r.tags[i]) })
	}
	for _, t := range r.tables {
		if t.kind != layout.Manifests {
			continue
		}
		for i := range t.len() {
			if ctx.Err() != nil {
				break
			}
			group.Go(func() error { return r.loadManifest(ctx, t.first+Node(i), t.digest(i)) })
		}
	}
	if err := group.Wait(); err != nil {
		return err
	}
	r.tags = slices.DeleteFunc(r.tags, func(t tag) bool { return t.digest == "" })
	return nil
}

func (r *reader) loadTag(ctx context.Context, t *tag) error {
	body, object, err := r.get(ctx, t.key, maxRecord)
	if body == nil {
		return err
	}
	var record struct {
		Digest    digest.Digest `json:"digest"`
		MediaType string        `json:"mediaType"`
		Absent    bool          `json:"absent"`
		AgeMillis int64         `json:"ageMillis"`
	}
	if err := json.Unmarshal(body, &record); err != nil {
		r.damaged(t.key, fmt.Errorf("read the tag's record: %w", err))
		return nil
	}
	if record.Absent {
		return nil
	}
	if err := record.Digest.Validate(); err != nil {
		r.damaged(t.key, fmt.Errorf("read the tag's record: digest %.100q: %w", record.Digest, err))
		return nil
	}
	t.digest, t.mediaType = record.Digest, record.MediaType
	t.checked = object.Modified.Add(-time.Duration(record.AgeMillis) * time.Millisecond).UTC()
	return nil
}

func (r *reader) loadManifest(ctx context.Context, n Node, d digest.Digest) error {
	key := r.realm.Manifest(d)
	body, object, err := r.get(ctx, key, maxManifest)
	if body == nil {
		return err
	}
	if d.Algorithm().FromBytes(body) != d {
		r.damaged(key, errors.New("the manifest's bytes do not hash to its digest"))
		return nil
	}
	doc, err := document.Parse(body)
	if err != nil {
		r.damaged(key, fmt.Errorf("read the manifest: %w", err))
		return nil
	}
	r.link(n, doc, cmp.Or(doc.MediaType, object.ContentType))
	return nil
}

// get reads a small object. The body is nil if it was removed meanwhile, or is damaged.
func (r *reader) get(ctx context.Context, key string, most int64) ([]byte, backend.Object, error) {
	body, object, err := r.store.Get(ctx, key, backend.Range{})
	if errors.Is(err, backend.ErrNotFound) {
		return nil, object, nil
	}
	if err != nil {
		return nil, object, fmt.Errorf("read %s: %w", key, err)
	}
	defer body.Close()
	data, err := r.memory.Read(ctx, body, object.Size, most)
	if errors.Is(err, bounded.ErrTooLarge) {
		r.damaged(key, err)
		return nil, object, nil
	}
	if err != nil {
		return nil, object, fmt.Errorf("read %s: %w", key, err)
	}
	if n := r.read.Add(1); n%100 == 0 {
		r.progress(r.Total.Objects, n)
	}
	return data, object, nil
}

func (r *reader) damaged(key string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.Damaged = append(r.Damaged, Damage{key, err})
}

// link connects a manifest with what it names, as far as that is cached.
func (r *reader) link(n Node, doc document.Document, mediaType string) {
	var children, manifests []Node
	var platforms []unique.Handle[string]
	for _, d := range doc.Blobs {
		if child, ok := r.find(layout.Blobs, d.Digest); ok {
			children = append(children, child)
		}
	}
	for _, m := range doc.Manifests {
		child, ok := r.find(layout.Manifests, m.Digest)
		if !ok {
			continue
		}
		manifests = append(manifests, child)
		if m.Platform.OS != "" {
			platforms = append(platforms, unique.Make(format(m.Platform)))
		}
	}
	config, cached := r.find(layout.Blobs, doc.Config)
	if !cached {
		config = noNode
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	m := r.manifest(n)
	m.mediaType, m.platforms, m.config, m.index = unique.Make(mediaType), platforms, config, len(doc.Manifests) > 0
	m.children = append(append(m.children, children...), manifests...)
	for _, child := range manifests {
		r.manifest(child).named = true
	}
	if subject, ok := r.find(layout.Manifests, doc.Subject); ok && subject != n {
		r.manifest(subject).children = append(r.manifest(subject).children, n)
		m.named = true
	}
}
