package gc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/mirror/inventory"
	"github.com/entrepot-io/entrepot/mirror/layout"
)

// deleteWithin is how long after it has announced a deletion a collector still deletes. Replicas wait for a minute before
// they take an announced deletion for abandoned. So a collector that was suspended in between does no harm.
const deleteWithin = 20 * time.Second

// clear removes the marks of objects that stay or have been used since, and those that dead collectors have left.
func (c *collector) clear(ctx context.Context, p *plan) error {
	group, ctx := c.group(ctx)
	p.inventory.Marked(func(n inventory.Node, m inventory.Marks) {
		o := p.inventory.Object(n)
		keys := []layout.Mark{}
		if !m.Deleting.IsZero() {
			keys = append(keys, layout.Deleting)
		}
		if !m.Tombstone.IsZero() && (p.needed[n] > 0 || !p.isMarked(o)) {
			keys = append(keys, layout.Tombstone, layout.Used)
		}
		if !m.Unwanted.IsZero() && p.needed[n] > 0 {
			keys = append(keys, layout.Unwanted)
		}
		if len(keys) == 0 {
			return
		}
		group.Go(func() error {
			for _, mark := range keys {
				if err := c.unmark(ctx, o, mark); err != nil {
					return err
				}
			}
			return nil
		})
	})
	return group.Wait()
}

func (c *collector) group(ctx context.Context) (*errgroup.Group, context.Context) {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(c.Jobs)
	return group, ctx
}

// mark marks the objects of the units that are put off, and returns how many have a tombstone now.
func (c *collector) mark(ctx context.Context, p *plan) (marked inventory.Amount, err error) {
	group, ctx := c.group(ctx)
	seen := map[inventory.Node]bool{}
	for _, u := range p.units {
		if !u.chosen || !u.pending {
			continue
		}
		if c.Remove != nil {
			group.Go(func() error { return c.untag(ctx, p, u) })
		}
		p.walker.Walk(func(n inventory.Node) {
			if p.needed[n] > 0 || seen[n] {
				return
			}
			seen[n] = true
			o := p.inventory.Object(n)
			marked.Objects++
			marked.Bytes += o.Size
			if p.isMarked(o) {
				return
			}
			group.Go(func() error {
				if err := c.held.confirm(ctx); err != nil {
					return err
				}
				return c.putMark(ctx, o, layout.Tombstone)
			})
		}, u.roots...)
	}
	return marked, group.Wait()
}

// untag removes the tag of an image that an operator removes, and records that, so that a later run deletes the rest.
func (c *collector) untag(ctx context.Context, p *plan, u *unit) error {
	for _, root := range u.roots {
		if p.needed[root] == 0 {
			if err := c.putMark(ctx, p.inventory.Object(root), layout.Unwanted); err != nil {
				return err
			}
		}
	}
	return c.deleteRecords(ctx, p, u)
}

// deleteRecords deletes the records of an image's tag and of the tags of its signatures, as far as no other image needs
// those.
func (c *collector) deleteRecords(ctx context.Context, p *plan, u *unit) error {
	if u.image < 0 {
		return nil
	}
	images := []int{u.image}
	for _, s := range p.followers[u.image] {
		if p.needed[p.images[s].Root()] == 0 {
			images = append(images, s)
		}
	}
	for _, i := range images {
		if key := p.images[i].Record(); key != "" {
			if err := c.Store.Delete(ctx, key); err != nil {
				return err
			}
		}
	}
	return nil
}

// deleteReady deletes the units that are not put off: tags first, then the images' manifests, then what those name.
func (c *collector) deleteReady(ctx context.Context, p *plan, report *Report) error {
	stays := map[inventory.Node]bool{} // needed by units that are put off
	var ready []*unit
	for _, u := range p.units {
		switch {
		case u.chosen && u.pending:
			p.walker.Walk(func(n inventory.Node) { stays[n] = true }, u.roots...)
		case u.chosen:
			ready = append(ready, u)
		}
	}
	if len(ready) == 0 {
		return nil
	}
	var levels [3][]inventory.Node // images' manifests, other manifests, blobs
	seen := map[inventory.Node]bool{}
	add := func(level int, n inventory.Node) {
		if !seen[n] && p.needed[n] == 0 && !stays[n] {
			seen[n] = true
			levels[level] = append(levels[level], n)
		}
	}
	for _, u := range ready {
		for _, root := range u.roots {
			add(0, root)
		}
	}
	for _, u := range ready {
		p.walker.Walk(func(n inventory.Node) {
			level := 1
			if p.inventory.Object(n).Kind == layout.Blobs {
				level = 2
			}
			add(level, n)
		}, u.roots...)
	}
	group, deleting := c.group(ctx)
	for _, u := range ready {
		group.Go(func() error {
			if err := c.held.confirm(deleting); err != nil {
				return err
			}
			return c.deleteRecords(deleting, p, u)
		})
		if u.image >= 0 {
			report.Deleted.Images++
		}
	}
	if err := group.Wait(); err != nil {
		return err
	}
	for _, nodes := range levels {
		spared, err := c.deleteAll(ctx, p, slices.DeleteFunc(nodes, func(n inventory.Node) bool { return stays[n] }), report)
		if err != nil {
			return err
		}
		p.walker.Walk(func(n inventory.Node) { stays[n] = true }, spared...)
	}
	return nil
}

// deleteAll deletes objects. It returns those that are in use after all.
func (c *collector) deleteAll(ctx context.Context, p *plan, nodes []inventory.Node, report *Report) (spared []inventory.Node, err error) {
	var mu sync.Mutex
	group, ctx := c.group(ctx)
	for _, n := range nodes {
		o := p.inventory.Object(n)
		group.Go(func() error {
			deleted, err := c.delete(ctx, o)
			mu.Lock()
			defer mu.Unlock()
			if !deleted {
				spared = append(spared, n)
				return err
			}
			c.Deleted(o.Kind, o.Digest)
			report.Deleted.Objects++
			report.Deleted.Bytes += o.Size
			report.Kept.Objects--
			report.Kept.Bytes -= o.Size
			c.Progress(fmt.Sprintf("%d objects deleted", report.Deleted.Objects))
			return err
		})
	}
	return spared, group.Wait()
}

// delete deletes a marked object, unless it was stored or used since it was marked. It announces that first: a replica that
// is about to use the object writes its mark before it looks for the announcement, so one of the two notices.
func (c *collector) delete(ctx context.Context, o inventory.Object) (deleted bool, err error) {
	if c.Direct {
		return true, c.Store.Delete(ctx, c.Realm.Content(o.Kind, o.Digest))
	}
	announced := time.Now()
	if err := c.putMark(ctx, o, layout.Deleting); err != nil {
		return false, err
	}
	spare, err := c.isUsed(ctx, o)
	if err == nil {
		err = c.held.confirm(ctx)
	}
	if err != nil || spare || time.Since(announced) > deleteWithin {
		return false, errors.Join(err, c.unmark(context.WithoutCancel(ctx), o, layout.Deleting))
	}
	within, cancel := context.WithTimeout(ctx, deleteWithin)
	defer cancel()
	if err := c.Store.Delete(within, c.Realm.Content(o.Kind, o.Digest)); err != nil {
		return false, err
	}
	// The tombstone stays, with a new time: a replica that saw the object just before looks for the tombstone after that.
	if err := c.putMark(ctx, o, layout.Tombstone); err != nil {
		return true, err
	}
	return true, c.unmark(ctx, o, layout.Deleting)
}

// isUsed reports whether an object was stored or used since it was marked.
func (c *collector) isUsed(ctx context.Context, o inventory.Object) (bool, error) {
	for _, key := range []string{
		c.Realm.Mark(o.Kind, o.Digest, layout.Used), c.Realm.Content(o.Kind, o.Digest), layout.Use(o.Digest),
	} {
		object, err := c.Store.Stat(ctx, key)
		switch {
		case errors.Is(err, backend.ErrNotFound):
		case err != nil:
			return false, err
		case key == c.Realm.Mark(o.Kind, o.Digest, layout.Used):
			return true, nil
		case !object.Modified.Truncate(clockStep).Before(o.Marks.Tombstone.Truncate(clockStep)):
			return true, nil
		}
	}
	return false, nil
}

func (c *collector) putMark(ctx context.Context, o inventory.Object, mark layout.Mark) error {
	_, err := c.Store.Put(ctx, c.Realm.Mark(o.Kind, o.Digest, mark), bytes.NewReader(nil), 0, backend.PutOptions{})
	return err
}

func (c *collector) unmark(ctx context.Context, o inventory.Object, mark layout.Mark) error {
	return c.Store.Delete(ctx, c.Realm.Mark(o.Kind, o.Digest, mark))
}
