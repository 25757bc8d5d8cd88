package gc

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/mirror/inventory"
	"github.com/entrepot-io/entrepot/mirror/layout"
	"github.com/entrepot-io/entrepot/mirror/lease"
)

// Limits say what may stay. The zero value keeps everything.
type Limits struct {
	MaxBytes int64         // 0: no limit
	MaxAge   time.Duration // since the last use; 0: no limit
	KeepLast int           // so many newest tags of each repository stay
	Keep     bool          // everything stays
}

// Rule has limits for the images that match a pattern. MaxBytes limits them together.
type Rule struct {
	Pattern inventory.Pattern
	Limits
}

// Config says what to remove. Store and Realm are required.
type Config struct {
	Store backend.Store
	Realm layout.Realm

	Limits Limits              // MaxBytes limits the whole bucket; the others apply to images that match no rule
	Rules  []Rule              // the first that matches applies
	Keep   []inventory.Pattern // images that stay in any case
	// Remove, if not nil, selects images to remove regardless of all limits. Nothing else is removed.
	Remove func(inventory.Image) bool

	// Grace is the time between marking and deleting.
	Grace time.Duration
	// UseInterval is how precisely the last use is recorded. What may be in use is not marked.
	UseInterval time.Duration
	// Wait makes a run wait for Grace and delete what it has marked.
	Wait bool
	// Direct deletes at once, without marks and a lease. It is for a file store, whose clients keep what they have opened, and
	// works on a full disk.
	Direct bool
	// Deleted is called for each object that was deleted, by several goroutines; may be nil.
	Deleted func(layout.Content, digest.Digest)

	DryRun bool // change nothing
	Jobs   int  // concurrent deletions; 0: 16

	Progress func(text string) // called now and then; may be nil
}

// Report is the result of a run. Its JSON form is documented in docs/commands.md.
type Report struct {
	Deleted Deleted          `json:"deleted"` // with DryRun: what would be deleted in the end
	Marked  inventory.Amount `json:"marked"`  // for a later run to delete
	Kept    inventory.Amount `json:"kept"`    // all objects of the bucket that stay, marked ones included
	Swept   int64            `json:"swept"`   // objects deleted besides: abandoned fills, old marks and markers of use
	DryRun  bool             `json:"dryRun"`
	Seconds float64          `json:"seconds"`
	// Damaged lists objects that could not be read. They count as not referenced.
	Damaged []inventory.Damage `json:"-"`
}

// Deleted counts what was deleted.
type Deleted struct {
	Images int64 `json:"images"`
	inventory.Amount
}

// ErrBusy means that another collector is at work.
var ErrBusy = errors.New("another gc or rm is at work on this bucket")

// collector is one run.
type collector struct {
	Config
	held *holding
}

// Run removes what the limits do not keep. It deletes what an earlier run has marked, and marks what a later run may delete.
// Errors: ErrBusy, lease.ErrLost, the store's, the context's.
func Run(ctx context.Context, cfg Config) (report Report, err error) {
	began := time.Now()
	cfg.Jobs = cmp.Or(cfg.Jobs, 16)
	if cfg.Deleted == nil {
		cfg.Deleted = func(layout.Content, digest.Digest) {}
	}
	if cfg.Progress == nil {
		cfg.Progress = func(string) {}
	}
	c := &collector{Config: cfg}
	if !cfg.DryRun && !cfg.Direct {
		if c.held, err = c.acquire(ctx); err != nil {
			return report, err
		}
		defer func() { c.held.release(ctx) }()
	}
	err = c.run(ctx, &report)
	report.DryRun, report.Seconds = cfg.DryRun, time.Since(began).Seconds()
	return report, err
}

func (c *collector) run(ctx context.Context, report *Report) error {
	waited := false
	for {
		v, now, err := c.read(ctx)
		if err != nil {
			return err
		}
		p := c.plan(v, now)
		report.Damaged = v.Damaged
		if !waited {
			report.Kept = v.Total
		}
		if c.DryRun {
			p.count(report)
			return nil
		}
		if err := c.clear(ctx, p); err != nil {
			return err
		}
		if err := c.deleteReady(ctx, p, report); err != nil {
			return err
		}
		marked, err := c.mark(ctx, p)
		report.Marked = marked
		if err != nil {
			return err
		}
		if waited || !c.Wait || marked.Objects == 0 {
			if c.Remove != nil {
				return nil
			}
			return c.sweep(ctx, p, report)
		}
		c.Progress(fmt.Sprintf("%d objects marked; waiting %s before they are deleted", marked.Objects, c.Grace))
		waited = true
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-c.held.lost:
			return lease.ErrLost
		case <-time.After(c.Grace + clockStep):
		}
	}
}

// clockStep is the precision of S3's clock.
const clockStep = time.Second

// read reads the inventory. now is the store's clock before that.
func (c *collector) read(ctx context.Context) (v *inventory.Inventory, now time.Time, err error) {
	now = time.Now()
	if c.held != nil {
		if now, err = c.held.clock(ctx); err != nil {
			return nil, now, err
		}
	}
	v, err = inventory.Read(ctx, inventory.Config{
		Store: c.Store, Realm: c.Realm,
		Progress: func(listed, read int64) {
			c.Progress(fmt.Sprintf("%d objects listed, %d records and manifests read", listed, read))
		},
	})
	return v, now, err
}
