// Package copying copies a cache, or some of its images, from one store to another. Each digest is verified on the way, and an
// object arrives after those that it refers to.
package copying

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/bounded"
	"github.com/entrepot-io/entrepot/mirror/intake"
	"github.com/entrepot-io/entrepot/mirror/inventory"
	"github.com/entrepot-io/entrepot/mirror/layout"
)

const (
	maxRecord = 16 << 20 // bytes, of a tag or a list
	buffers   = 64 << 20 // bytes, of all records in memory
)

// Config says what to copy. From, To and Realm are required.
type Config struct {
	From, To backend.Store
	Realm    layout.Realm
	Pattern  inventory.Pattern // images; the zero value selects everything, also what no image needs
	Jobs     int               // concurrent objects; 0: 8
	Progress func(copied inventory.Amount)
}

// Report is the result. Its JSON form is documented in docs/commands.md.
type Report struct {
	Copied  inventory.Amount `json:"copied"`
	Skipped inventory.Amount `json:"skipped"` // were there already
	// Failed are objects that were not copied.
	Failed []Failure `json:"failed"`
}

// Failure is an object that was not copied.
type Failure struct {
	Key   string `json:"key"`
	Error string `json:"error"`
}

// ErrNoImage means that no image matches the pattern.
var ErrNoImage = errors.New("no such image in the cache")

// copier is one run.
type copier struct {
	Config
	memory *bounded.Budget

	mu     sync.Mutex
	report Report
}

// Run copies what the other store does not have. A run that was interrupted is continued by the next one. Errors: ErrNoImage,
// the stores', the context's.
func Run(ctx context.Context, cfg Config) (Report, error) {
	cfg.Jobs = cmp.Or(cfg.Jobs, 8)
	if cfg.Progress == nil {
		cfg.Progress = func(inventory.Amount) {}
	}
	c := &copier{Config: cfg, memory: bounded.NewBudget(buffers), report: Report{Failed: []Failure{}}}
	var err error
	if cfg.Pattern.IsAll() {
		err = c.everything(ctx)
	} else {
		err = c.selected(ctx)
	}
	return c.report, err
}

// job is an object to copy.
type job struct {
	from backend.Object
	to   *backend.Object // nil: there is none
}

// everything copies one kind of object after the other.
func (c *copier) everything(ctx context.Context) error {
	for _, prefix := range c.Realm.Lasting() {
		if err := c.all(ctx, c.compare(ctx, prefix)); err != nil {
			return err
		}
	}
	return nil
}

// compare yields the objects with a prefix, together with those of the other store. Both lists are in the order of keys.
func (c *copier) compare(ctx context.Context, prefix string) iter.Seq2[job, error] {
	return func(yield func(job, error) bool) {
		next, stop := iter.Pull2(c.To.List(ctx, prefix, ""))
		defer stop()
		there, failed, more := next()
		for object, err := range c.From.List(ctx, prefix, "") {
			if err != nil {
				yield(job{}, fmt.Errorf("list the store to copy from: %w", err))
				return
			}
			for more && failed == nil && there.Key < object.Key {
				there, failed, more = next()
			}
			if failed != nil {
				yield(job{}, fmt.Errorf("list the store to copy to: %w", failed))
				return
			}
			j := job{from: object}
			if more && there.Key == object.Key {
				same := there
				j.to = &same
			}
			if !yield(j, nil) {
				return
			}
		}
	}
}

// all does jobs, some at a time.
func (c *copier) all(ctx context.Context, jobs iter.Seq2[job, error]) error {
	group, each := errgroup.WithContext(ctx)
	group.SetLimit(c.Jobs)
	for j, err := range jobs {
		if err != nil {
			return errors.Join(err, group.Wait())
		}
		if each.Err() != nil {
			break
		}
		group.Go(func() error { return c.do(each, j) })
	}
	return cmp.Or(group.Wait(), ctx.Err())
}

// do copies an object unless it is there. Only an error that concerns all objects is returned.
func (c *copier) do(ctx context.Context, j job) error {
	if c.isThere(j) {
		c.count(&c.report.Skipped, j.from.Size)
		return nil
	}
	err := c.copy(ctx, j.from)
	switch {
	case errors.Is(err, backend.ErrNotFound):
		return nil // it was removed since it was listed
	case err != nil && (ctx.Err() != nil || backend.IsUnwritable(err) || errors.Is(err, backend.ErrNoBucket)):
		return fmt.Errorf("copy %s: %w", j.from.Key, err)
	case err != nil:
		c.mu.Lock()
		defer c.mu.Unlock()
		c.report.Failed = append(c.report.Failed, Failure{j.from.Key, err.Error()})
		return nil
	}
	c.count(&c.report.Copied, j.from.Size)
	return nil
}

// isThere reports whether the other store has the content, or a record that is not older.
func (c *copier) isThere(j job) bool {
	if j.to == nil {
		return false
	}
	if _, ok := c.digestOf(j.from.Key); ok {
		return j.to.Size == j.from.Size
	}
	return !j.to.Modified.Before(j.from.Modified.Truncate(time.Second)) // S3's times are in seconds
}

func (c *copier) count(a *inventory.Amount, bytes int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	a.Objects++
	a.Bytes += bytes
	c.Progress(c.report.Copied)
}

// digestOf returns the digest of the content at a key, and false for a record.
func (c *copier) digestOf(key string) (digest.Digest, bool) {
	if _, d, ok := c.Realm.ParseContent(key); ok {
		return d, true
	}
	return c.Realm.ParseManifestIn(key)
}

func (c *copier) copy(ctx context.Context, o backend.Object) error {
	d, isContent := c.digestOf(o.Key)
	if !isContent {
		return c.copyRecord(ctx, o.Key)
	}
	described, err := c.From.Stat(ctx, o.Key) // lists have no media types
	if err != nil {
		return err
	}
	return intake.Put(ctx, c.To, intake.Object{
		Key: o.Key, Digest: d, Size: described.Size, ContentType: described.ContentType,
		Open: func(ctx context.Context) (io.ReadCloser, error) {
			body, _, err := c.From.Get(ctx, o.Key, backend.Range{})
			return body, err
		},
	})
}

// errNoManifest means that the other store has not got a tag's manifest.
var errNoManifest = errors.New("its manifest was not copied")

// copyRecord copies the record of a tag or a list. Records of tags whose manifest is not there stay away, since every record
// can be served.
func (c *copier) copyRecord(ctx context.Context, key string) error {
	body, object, err := c.From.Get(ctx, key, backend.Range{})
	if err != nil {
		return err
	}
	text, err := c.memory.Read(ctx, body, object.Size, maxRecord)
	if err = errors.Join(err, body.Close()); err != nil {
		return err
	}
	if _, _, _, isTag := c.Realm.ParseTag(key); isTag {
		var record struct{ Digest digest.Digest }
		if err := json.Unmarshal(text, &record); err != nil {
			return fmt.Errorf("read the tag's record: %w", err)
		}
		if record.Digest != "" {
			if err := record.Digest.Validate(); err != nil {
				return fmt.Errorf("read the tag's record: %w", err)
			}
			_, err := c.To.Stat(ctx, c.Realm.Manifest(record.Digest))
			if errors.Is(err, backend.ErrNotFound) {
				return errNoManifest
			}
			if err != nil {
				return err
			}
		}
	}
	_, err = c.To.Put(ctx, key, bytes.NewReader(text), int64(len(text)), backend.PutOptions{ContentType: object.ContentType})
	return err
}
