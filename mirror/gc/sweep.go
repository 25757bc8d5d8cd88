package gc

import (
	"context"
	"path"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/mirror/inventory"
	"github.com/entrepot-io/entrepot/mirror/layout"
)

const (
	// FillRetention is how long the state of a fill is kept after its last write, so that a later request can resume it. The
	// lifecycle rule in docs/stores.md has the same value.
	FillRetention = 24 * time.Hour
	// strayRetention is how long a tombstone stays after its object was deleted. Replicas look for the object and the
	// tombstone one after the other.
	strayRetention = 2 * time.Minute
)

// sweep removes what is left over: abandoned fills and uploads, marks of deleted objects, and markers of use that no longer
// matter.
func (c *collector) sweep(ctx context.Context, p *plan, report *Report) error {
	if err := c.sweepFills(ctx, p.now, report); err != nil {
		return err
	}
	var stray []string
	for _, o := range p.inventory.StrayMarks() {
		if p.now.Sub(o.Modified) >= strayRetention {
			stray = append(stray, o.Key)
		}
	}
	if err := c.remove(ctx, report, stray); err != nil {
		return err
	}
	if expirer, ok := c.Store.(backend.UploadExpirer); ok {
		swept, err := expirer.ExpireUploads(ctx, string(c.Realm)+"/", p.now.Add(-FillRetention))
		if report.Swept += int64(swept); err != nil {
			return err
		}
	}
	return c.sweepUses(ctx, p, report)
}

// sweepFills removes the fills that nobody has written to for long. All objects of a blob's fill go together, since the
// first segments of a long fill are old.
func (c *collector) sweepFills(ctx context.Context, now time.Time, report *Report) error {
	blobs := map[string]bool{}
	for _, a := range []digest.Algorithm{digest.SHA256, digest.SHA384, digest.SHA512} {
		blobs[strings.TrimSuffix(c.Realm.BlobFills(a), "/")] = true
	}
	var keys []string
	var folder string
	var written time.Time
	flush := func() error {
		old := now.Sub(written) >= FillRetention
		together := keys
		keys, written = nil, time.Time{}
		if !old {
			return nil
		}
		return c.remove(ctx, report, together)
	}
	for o, err := range c.Store.List(ctx, c.Realm.Fills(), "") {
		if err != nil {
			return err
		}
		of := path.Dir(o.Key)
		if !blobs[path.Dir(of)] {
			of = o.Key // it is not a part of a blob's fill
		}
		if of != folder {
			if err := flush(); err != nil {
				return err
			}
			folder = of
		}
		if o.Key != c.Realm.CollectorLease() {
			keys, written = append(keys, o.Key), latest(written, o.Modified)
		}
	}
	return flush()
}

// sweepUses removes the markers of use of what is not cached. Earlier versions wrote one each day; of those the last stays.
func (c *collector) sweepUses(ctx context.Context, p *plan, report *Report) error {
	const batch = 1000
	var keys []string
	for o, err := range c.Store.List(ctx, layout.Uses, "") {
		if err != nil {
			return err
		}
		d, ok := layout.ParseUse(o.Key)
		if !ok || p.now.Sub(o.Modified) < c.Grace+c.UseInterval || !isObsolete(p.inventory, o, d) {
			continue
		}
		if keys = append(keys, o.Key); len(keys) == batch {
			if err := c.remove(ctx, report, keys); err != nil {
				return err
			}
			keys = nil
		}
	}
	return c.remove(ctx, report, keys)
}

// isObsolete reports whether a marker of use tells nothing about what is cached.
func isObsolete(v *inventory.Inventory, marker backend.Object, d digest.Digest) bool {
	for _, kind := range []layout.Content{layout.Blobs, layout.Manifests} {
		if n, ok := v.Find(kind, d); ok && !v.Object(n).Used.After(marker.Modified) {
			return false
		}
	}
	return true
}

// remove deletes objects that nobody uses.
func (c *collector) remove(ctx context.Context, report *Report, keys []string) error {
	group, ctx := c.group(ctx)
	for _, key := range keys {
		group.Go(func() error {
			if err := c.held.confirm(ctx); err != nil {
				return err
			}
			return c.Store.Delete(ctx, key)
		})
	}
	err := group.Wait()
	if err == nil {
		report.Swept += int64(len(keys))
	}
	return err
}
