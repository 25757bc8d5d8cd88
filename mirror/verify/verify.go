// Package verify reads what a bucket holds and compares it with its digests. Bad objects go to quarantine, and can be fetched
// again from their upstream.
package verify

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/bounded"
	"github.com/entrepot-io/entrepot/mirror/document"
	"github.com/entrepot-io/entrepot/mirror/inventory"
	"github.com/entrepot-io/entrepot/mirror/layout"
)

const (
	batch       = 64               // objects between two checkpoints
	checkpoint  = 10 * time.Second // least time between two checkpoints
	maxManifest = 8 << 20
	rounds      = 3 // in which manifests that were fetched again are verified: an index, its children, what refers to them
)

// Config says what to verify. Store and Realm are required.
type Config struct {
	Store   backend.Store
	Realm   layout.Realm
	Pattern inventory.Pattern // images to verify; the zero value selects all objects, those that no image needs included
	Sample  float64           // share of the objects, chosen at random; 0: all
	Jobs    int               // concurrent objects; 0: 8
	// Repair fetches an object again, for an image that needs it; nil: bad objects are only moved to quarantine.
	Repair   func(context.Context, inventory.Image, layout.Content, digest.Digest) error
	Progress func(checked, bytes int64) // called now and then; may be nil
}

// Report is the result. Its JSON form is documented in docs/commands.md.
type Report struct {
	Checked int64 `json:"checked"` // objects
	Bytes   int64 `json:"bytes"`
	Bad     []Bad `json:"bad"`
	// Errors are of objects that could not be verified.
	Errors []error `json:"-"`
}

// Bad is an object that is not what it should be.
type Bad struct {
	Key      string        `json:"key"`
	Digest   digest.Digest `json:"digest"`
	Problem  Problem       `json:"problem"`
	Repaired bool          `json:"repaired"`
	// Err is why the object could not be repaired.
	Err error `json:"-"`
}

// Problem is what is wrong with an object.
type Problem string

// Problems.
const (
	Corrupt   Problem = "corrupt"   // its bytes do not hash to its digest
	Missing   Problem = "missing"   // a cached image needs it
	MediaType Problem = "mediaType" // a manifest's Content-Type is not the media type that it names
)

// verifier is one run.
type verifier struct {
	Config
	inventory *inventory.Inventory
	images    []inventory.Image
	owner     []int32 // by node: the index in images plus 1 of an image that needs it

	mu       sync.Mutex
	report   Report
	missing  map[digest.Digest]bool
	restored []digest.Digest // manifests that were fetched again
}

// Run verifies manifests, then blobs in the order of their keys. If a run is interrupted, the next one with the same pattern continues
// after it. Errors: the store's, the context's.
func Run(ctx context.Context, cfg Config) (Report, error) {
	cfg.Jobs = cmp.Or(cfg.Jobs, 8)
	if cfg.Progress == nil {
		cfg.Progress = func(int64, int64) {}
	}
	v := &verifier{Config: cfg, missing: map[digest.Digest]bool{}, report: Report{Bad: []Bad{}}}
	err := v.run(ctx)
	return v.report, err
}

func (v *verifier) run(ctx context.Context) error {
	if err := v.read(ctx); err != nil {
		return err
	}
	// Manifests come first: they say which image needs a blob, and so where to fetch it.
	v.findTagsWithoutManifest(ctx)
	var manifests []inventory.Node
	for n := range v.inventory.Len() {
		if node := inventory.Node(n); v.inventory.Object(node).Kind == layout.Manifests && v.selects(node, "") {
			manifests = append(manifests, node)
		}
	}
	if err := v.checkAll(ctx, manifests); err != nil {
		return err
	}
	for round := 0; len(v.restored) > 0 && round < rounds; round++ {
		if err := v.checkRestored(ctx); err != nil {
			return err
		}
	}
	return v.checkBlobs(ctx)
}

// checkBlobs verifies blobs, from where an interrupted run stopped.
func (v *verifier) checkBlobs(ctx context.Context) error {
	after, saved := v.resume(ctx), time.Now()
	for n := 0; n < v.inventory.Len(); {
		var nodes []inventory.Node
		for ; n < v.inventory.Len() && len(nodes) < batch; n++ {
			if node := inventory.Node(n); v.inventory.Object(node).Kind == layout.Blobs && v.selects(node, after) {
				nodes = append(nodes, node)
			}
		}
		if err := v.checkAll(ctx, nodes); err != nil {
			return errors.Join(err, v.save(ctx, after))
		}
		if len(nodes) > 0 {
			after = v.key(nodes[len(nodes)-1])
		}
		if time.Since(saved) >= checkpoint {
			saved = time.Now()
			if err := v.save(ctx, after); err != nil {
				return err
			}
		}
	}
	return v.forget(ctx)
}

// read reads the inventory.
func (v *verifier) read(ctx context.Context) (err error) {
	if v.inventory, err = inventory.Read(ctx, inventory.Config{Store: v.Store, Realm: v.Realm}); err != nil {
		return err
	}
	v.images = v.inventory.Roots()
	v.owner = make([]int32, v.inventory.Len())
	walker := v.inventory.NewWalker()
	for i, image := range v.images { // images with a tag come first; only those have a repository
		if !v.Pattern.Selects(image) {
			continue
		}
		walker.Walk(func(n inventory.Node) {
			if v.owner[n] == 0 {
				v.owner[n] = int32(i + 1)
			}
		}, image.Root())
	}
	return nil
}

func (v *verifier) key(n inventory.Node) string {
	o := v.inventory.Object(n)
	return v.Realm.Content(o.Kind, o.Digest)
}

// selects reports whether an object is verified.
func (v *verifier) selects(n inventory.Node, after string) bool {
	return (v.Pattern.IsAll() || v.owner[n] > 0) && v.key(n) > after && (v.Sample == 0 || rand.Float64() < v.Sample)
}

// findTagsWithoutManifest reports the manifests that tags name and that are not in the bucket.
func (v *verifier) findTagsWithoutManifest(ctx context.Context) {
	for _, image := range v.inventory.Incomplete() {
		if v.Pattern.Selects(image) {
			v.isMissing(ctx, layout.Manifests, image.Digest, image)
		}
	}
}

func (v *verifier) checkAll(ctx context.Context, nodes []inventory.Node) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(v.Jobs)
	for _, n := range nodes {
		group.Go(func() error {
			if err := v.check(ctx, n); err != nil {
				if ctx.Err() != nil {
					return err
				}
				v.mu.Lock()
				v.report.Errors = append(v.report.Errors, err)
				v.mu.Unlock()
			}
			return nil
		})
	}
	return group.Wait()
}

// image returns an image that needs a node; the zero value: none is known.
func (v *verifier) image(n inventory.Node) inventory.Image {
	if i := v.owner[n]; i > 0 {
		return v.images[i-1]
	}
	return inventory.Image{}
}

// check verifies an object.
func (v *verifier) check(ctx context.Context, n inventory.Node) error {
	o, key := v.inventory.Object(n), v.key(n)
	body, object, err := v.Store.Get(ctx, key, backend.Range{})
	if errors.Is(err, backend.ErrNotFound) {
		return nil // it was removed since
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", key, err)
	}
	defer body.Close()
	var text bytes.Buffer
	hash := o.Digest.Algorithm().Hash()
	to := io.Writer(hash)
	if o.Kind == layout.Manifests && object.Size <= maxManifest {
		to = io.MultiWriter(hash, &text)
	}
	size, err := io.Copy(to, body)
	if err != nil {
		return fmt.Errorf("read %s: %w", key, err)
	}
	v.count(size)
	if digest.NewDigest(o.Digest.Algorithm(), hash) != o.Digest {
		v.isBad(ctx, n, Corrupt)
		return nil
	}
	if o.Kind == layout.Blobs {
		return nil
	}
	doc, err := document.Parse(text.Bytes())
	if err != nil {
		return nil // it is what its digest says
	}
	if doc.MediaType != "" && object.ContentType != doc.MediaType {
		v.isBad(ctx, n, MediaType)
		return nil
	}
	for _, blob := range doc.Blobs {
		if _, ok := v.inventory.Find(layout.Blobs, blob.Digest); !ok && !blob.IsForeign() {
			v.isMissing(ctx, layout.Blobs, blob.Digest, v.image(n))
		}
	}
	return nil
}

func (v *verifier) count(bytes int64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.report.Checked++
	v.report.Bytes += bytes
	v.Progress(v.report.Checked, v.report.Bytes)
}

func (v *verifier) add(bad Bad, kind layout.Content) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.report.Bad = append(v.report.Bad, bad)
	if bad.Repaired && kind == layout.Manifests {
		v.restored = append(v.restored, bad.Digest)
	}
}

// isMissing reports content that is not in the bucket, and fetches it.
func (v *verifier) isMissing(ctx context.Context, kind layout.Content, d digest.Digest, of inventory.Image) {
	v.mu.Lock()
	known := v.missing[d]
	v.missing[d] = true
	v.mu.Unlock()
	if known {
		return
	}
	bad := Bad{Key: v.Realm.Content(kind, d), Digest: d, Problem: Missing}
	bad.Repaired, bad.Err = v.repair(ctx, of, kind, d)
	v.add(bad, kind)
}

// isBad moves an object to quarantine, and fetches it again.
func (v *verifier) isBad(ctx context.Context, n inventory.Node, problem Problem) {
	o, key := v.inventory.Object(n), v.key(n)
	if err := v.quarantine(ctx, key); err != nil {
		v.add(Bad{Key: key, Digest: o.Digest, Problem: problem, Err: err}, o.Kind)
		return
	}
	bad := Bad{Key: key, Digest: o.Digest, Problem: problem}
	bad.Repaired, bad.Err = v.repair(ctx, v.image(n), o.Kind, o.Digest)
	v.add(bad, o.Kind)
}

// quarantine moves an object out of reach.
func (v *verifier) quarantine(ctx context.Context, key string) error {
	body, object, err := v.Store.Get(ctx, key, backend.Range{})
	if err != nil {
		return fmt.Errorf("move %s to quarantine: %w", key, err)
	}
	defer body.Close()
	_, err = v.Store.Put(ctx, layout.Quarantine+key, body, object.Size, backend.PutOptions{ContentType: object.ContentType})
	if err == nil {
		err = v.Store.Delete(ctx, key)
	}
	if err != nil {
		return fmt.Errorf("move %s to quarantine: %w", key, err)
	}
	return nil
}

func (v *verifier) repair(ctx context.Context, of inventory.Image, kind layout.Content, d digest.Digest) (bool, error) {
	switch {
	case v.Repair == nil:
		return false, nil
	case of.Repository == "":
		return false, errors.New("no tag says which repository it is from")
	}
	err := v.Repair(ctx, of, kind, d)
	return err == nil, err
}

// checkRestored verifies the manifests that were fetched again, and what they name.
func (v *verifier) checkRestored(ctx context.Context) error {
	digests := v.restored
	v.restored = nil
	if err := v.read(ctx); err != nil {
		return err
	}
	var nodes []inventory.Node
	walker := v.inventory.NewWalker()
	for _, d := range digests {
		root, ok := v.inventory.Find(layout.Manifests, d)
		if !ok {
			continue
		}
		walker.Walk(func(n inventory.Node) {
			if v.inventory.Object(n).Kind == layout.Manifests {
				nodes = append(nodes, n)
			}
		}, root)
	}
	return v.checkAll(ctx, nodes)
}

// progress is how far a run has come.
type progress struct {
	After string `json:"after"` // key
	Of    string `json:"of"`    // pattern
}

// resume returns the key after which an interrupted run with the same pattern is continued.
func (v *verifier) resume(ctx context.Context) string {
	body, object, err := v.Store.Get(ctx, v.Realm.VerifyProgress(), backend.Range{})
	if err != nil {
		return ""
	}
	defer body.Close()
	text, err := bounded.NewBudget(1<<20).Read(ctx, body, object.Size, 64<<10)
	var p progress
	if err != nil || json.Unmarshal(text, &p) != nil || p.Of != v.Pattern.String() {
		return ""
	}
	return p.After
}

func (v *verifier) save(ctx context.Context, after string) error {
	if after == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 500*time.Millisecond) // an interrupted command ends soon
	defer cancel()
	text, err := json.Marshal(progress{After: after, Of: v.Pattern.String()})
	if err != nil {
		return err
	}
	_, err = v.Store.Put(ctx, v.Realm.VerifyProgress(), bytes.NewReader(text), int64(len(text)), backend.PutOptions{ContentType: "application/json"})
	return err
}

func (v *verifier) forget(ctx context.Context) error {
	return v.Store.Delete(ctx, v.Realm.VerifyProgress())
}
