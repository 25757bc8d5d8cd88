package gc

import (
	"regexp"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot-io/entrepot/mirror/inventory"
	"github.com/entrepot-io/entrepot/mirror/layout"
)

// unit is what is removed as a whole: an image with its signatures, or a blob that no image needs.
type unit struct {
	image   int // index in plan.images; -1: none
	roots   []inventory.Node
	used    time.Time // last, or stored if no use is known
	rule    int       // index in Config.Rules; -1: none
	kept    bool
	chosen  bool // for removal
	pending bool // its objects are not all ready to be deleted
}

// plan says what a run removes.
type plan struct {
	cfg       *Config
	inventory *inventory.Inventory
	now       time.Time
	walker    *inventory.Walker
	images    []inventory.Image
	units     []*unit
	followers map[int][]int // images that are signatures, by the index of the image that is signed
	needed    []int32       // by node: how many units that stay need it
	bytes     int64         // of the bucket, after the removal
}

// plan chooses what to remove.
func (c *collector) plan(v *inventory.Inventory, now time.Time) *plan {
	p := &plan{
		cfg: &c.Config, inventory: v, now: now, walker: v.NewWalker(), images: v.Roots(), needed: make([]int32, v.Len()),
		bytes: v.Total.Bytes,
	}
	p.group()
	p.protect()
	for _, u := range p.units {
		p.need(u, 1)
	}
	p.choose()
	p.postpone()
	return p
}

// signatureTag is a tag by which clients find what refers to a manifest: cosign's scheme, and the fallback of the
// distribution spec, "Referrers Tag Schema".
var signatureTag = regexp.MustCompile(`^(sha256|sha512)-([0-9a-f]{64}|[0-9a-f]{128})(\.(sig|att|sbom))?$`)

// group makes the units. Signatures go with the images that they sign.
func (p *plan) group() {
	signs := map[inventory.Node][]int{} // signatures by the manifest that is signed
	for i, image := range p.images {
		parts := signatureTag.FindStringSubmatch(image.Tag)
		if parts == nil {
			continue
		}
		d := digest.NewDigestFromEncoded(digest.Algorithm(parts[1]), parts[2])
		if n, ok := p.inventory.Find(layout.Manifests, d); ok && n != image.Root() {
			signs[n] = append(signs[n], i)
		}
	}
	p.followers = map[int][]int{}
	follows := map[int]bool{}
	if len(signs) > 0 {
		for i, image := range p.images {
			p.walker.Walk(func(n inventory.Node) {
				for _, s := range signs[n] {
					if s != i && p.images[s].Registry == image.Registry && p.images[s].Repository == image.Repository {
						p.followers[i] = append(p.followers[i], s)
						follows[s] = true
					}
				}
			}, image.Root())
		}
	}
	for i, image := range p.images {
		if follows[i] {
			continue
		}
		u := &unit{image: i, roots: []inventory.Node{image.Root()}, used: image.LastUsed, rule: -1}
		for _, s := range p.followers[i] {
			u.roots = append(u.roots, p.images[s].Root())
		}
		if u.used.IsZero() {
			u.used = image.FirstCached
		}
		p.walker.Walk(func(n inventory.Node) {
			u.used = latest(u.used, p.inventory.Object(n).Marks.Used)
		}, u.roots...)
		p.units = append(p.units, u)
	}
	for _, n := range p.inventory.Unreached() {
		o := p.inventory.Object(n)
		p.units = append(p.units, &unit{image: -1, roots: []inventory.Node{n}, used: latest(o.Used, o.Marks.Used, o.Stored), rule: -1})
	}
	slices.SortStableFunc(p.units, func(a, b *unit) int { return a.used.Compare(b.used) })
}

func latest(times ...time.Time) time.Time { return slices.MaxFunc(times, time.Time.Compare) }

// protect finds each unit's rule, and the units that stay in any case.
func (p *plan) protect() {
	newest := map[string][]*unit{} // by repository
	for _, u := range p.units {
		u.kept = p.now.Sub(u.used) < p.cfg.UseInterval // a use since then may not be recorded
		if u.image < 0 {
			continue
		}
		image := p.images[u.image]
		for i, rule := range p.cfg.Rules {
			if rule.Pattern.Selects(image) {
				u.rule = i
				break
			}
		}
		u.kept = u.kept || p.limits(u).Keep || slices.ContainsFunc(p.cfg.Keep, func(pattern inventory.Pattern) bool {
			return pattern.Selects(image)
		})
		if image.Tag != "" {
			name := image.Registry + "/" + image.Repository
			newest[name] = append(newest[name], u)
		}
	}
	for _, units := range newest {
		slices.SortStableFunc(units, func(a, b *unit) int {
			return p.images[b.image].FirstCached.Compare(p.images[a.image].FirstCached)
		})
		for i, u := range units {
			u.kept = u.kept || i < p.limits(u).KeepLast
		}
	}
}

// limits returns the limits of an image. MaxBytes of the whole bucket is not among them.
func (p *plan) limits(u *unit) Limits {
	if u.rule >= 0 {
		return p.cfg.Rules[u.rule].Limits
	}
	own := p.cfg.Limits
	own.MaxBytes = 0
	return own
}

// need adds change to the number of units that need each object of a unit. It returns the bytes of what nobody needs any
// more, or did not need before.
func (p *plan) need(u *unit, change int32) (bytes int64) {
	p.walker.Walk(func(n inventory.Node) {
		before := p.needed[n]
		p.needed[n] += change
		if (before == 0) != (p.needed[n] == 0) {
			bytes += p.inventory.Object(n).Size
		}
	}, u.roots...)
	return bytes
}

// choose chooses the units to remove, those that are unused for longest first.
func (p *plan) choose() {
	if p.cfg.Remove != nil {
		for _, u := range p.units {
			if u.image >= 0 && (p.cfg.Remove(p.images[u.image]) || p.unwanted(u)) {
				p.remove(u)
			}
		}
		return
	}
	for _, u := range p.units {
		age := p.limits(u).MaxAge
		if p.unwanted(u) || !u.kept && age > 0 && p.now.Sub(u.used) > age {
			p.remove(u)
		}
	}
	for i, rule := range p.cfg.Rules {
		if rule.MaxBytes > 0 {
			p.shrink(i, rule.MaxBytes)
		}
	}
	if most := p.cfg.Limits.MaxBytes; most > 0 {
		for _, u := range p.units {
			if p.bytes <= most {
				break
			}
			if !u.kept && !u.chosen {
				p.remove(u)
			}
		}
	}
}

func (p *plan) remove(u *unit) {
	u.chosen = true
	p.bytes -= p.need(u, -1)
}

// unwanted reports whether an operator has removed the image, and nobody has used it since.
func (p *plan) unwanted(u *unit) bool {
	if u.image < 0 || p.images[u.image].Tag != "" {
		return false
	}
	m := p.inventory.Object(u.roots[0]).Marks
	return !m.Unwanted.IsZero() && !u.used.After(m.Unwanted)
}

// shrink removes images of a rule until the others take at most so many bytes together.
func (p *plan) shrink(rule int, most int64) {
	uses := make(map[inventory.Node]int32) // by how many of the rule's units
	var bytes int64
	var units []*unit
	for _, u := range p.units {
		if u.rule != rule || u.chosen {
			continue
		}
		units = append(units, u)
		p.walker.Walk(func(n inventory.Node) {
			if uses[n]++; uses[n] == 1 {
				bytes += p.inventory.Object(n).Size
			}
		}, u.roots...)
	}
	for _, u := range units {
		if bytes <= most {
			return
		}
		if u.kept {
			continue
		}
		p.walker.Walk(func(n inventory.Node) {
			if uses[n]--; uses[n] == 0 {
				bytes -= p.inventory.Object(n).Size
			}
		}, u.roots...)
		p.remove(u)
	}
}

// postpone puts off the units whose objects may not be deleted yet, so that an image goes as a whole.
func (p *plan) postpone() {
	if p.cfg.Direct {
		return
	}
	for _, u := range p.units {
		if !u.chosen {
			continue
		}
		p.walker.Walk(func(n inventory.Node) {
			if p.needed[n] == 0 && !p.isDoomed(p.inventory.Object(n)) {
				u.pending = true
			}
		}, u.roots...)
	}
}

// isDoomed reports whether an object is marked for long enough.
func (p *plan) isDoomed(o inventory.Object) bool {
	return p.isMarked(o) && p.now.Sub(o.Marks.Tombstone) >= p.cfg.Grace
}

// isMarked reports whether an object has a tombstone that still counts.
func (p *plan) isMarked(o inventory.Object) bool {
	marked := o.Marks.Tombstone.Truncate(clockStep)
	return !marked.IsZero() && o.Marks.Used.IsZero() && o.Stored.Before(marked) && o.Used.Before(marked)
}

// count adds to the report what will be deleted in the end.
func (p *plan) count(report *Report) {
	gone := map[inventory.Node]bool{}
	for _, u := range p.units {
		if !u.chosen {
			continue
		}
		if u.image >= 0 {
			report.Deleted.Images++
		}
		p.walker.Walk(func(n inventory.Node) {
			if p.needed[n] == 0 && !gone[n] {
				gone[n] = true
				report.Deleted.Objects++
				report.Deleted.Bytes += p.inventory.Object(n).Size
			}
		}, u.roots...)
	}
	report.Kept.Objects -= report.Deleted.Objects
	report.Kept.Bytes -= report.Deleted.Bytes
}
