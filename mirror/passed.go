package mirror

import (
	"context"
	"runtime"
	"sync"
	"time"
	"weak"

	"github.com/entrepot-io/entrepot/bounded"
	"github.com/entrepot-io/entrepot/upstream"
)

// page is a page of a list that is passed through, as the upstream sent it. All its readers share it.
type page struct {
	upstream.List
	asked time.Time // when the upstream was asked, by this process's clock
}

// passed passes a page through. It shares a fresh page that other clients are reading.
func (m *Mirror) passed(ctx context.Context, began time.Time, s subject, q ListQuery,
	get func(context.Context) (upstream.List, error)) (*page, error) {
	ctx, cancel := context.WithDeadline(ctx, began.Add(listTimeout))
	defer cancel()
	key := s.key + "?" + q.URL.Encode()
	if p := m.pages.get(key); p != nil && !q.Revalidate && elapsed(p.asked, m.Now()) < s.ttl {
		return p, nil
	}
	return shared(ctx, m, "page "+key, func(ctx context.Context) (*page, error) {
		ctx, cancel := inTime(ctx)
		defer cancel()
		p := &page{asked: m.Now()}
		var err error
		if p.List, err = get(ctx); err != nil {
			return nil, err
		}
		m.pages.set(key, p)
		return p, nil
	})
}

// list returns the page for a client: an empty one if p is nil.
func (p *page) list() List {
	if p == nil {
		return List{}
	}
	all := Body{int64(len(p.Body)), func(yield func([]byte) bool) { yield(p.Body) }}
	return List{Body: p.held(all), MediaType: p.MediaType, Next: p.Next, Filtered: p.Filtered}
}

// held returns part with a reference to the page, so that pages finds the page while part is read.
func (p *page) held(part Body) Body {
	return Body{part.Size, func(yield func([]byte) bool) {
		part.Pieces(yield)
		runtime.KeepAlive(p)
	}}
}

// filter returns the index with only the descriptors of some artifact types, for upstreams that do not filter. The rest of the
// index is unchanged.
func (p *page) filter(artifactTypes []string) (Body, error) {
	index, err := bounded.JSON(p.Body).Without("manifests", maxIndex)
	if err != nil {
		return Body{}, err
	}
	var manifests values
	err = bounded.JSON(p.Body).Fields(func(name string, value bounded.JSON) (err error) {
		if name == "manifests" {
			manifests, err = valuesIn(value)
		}
		return err
	})
	return p.held(bodyOf(indexHead(index, false), selection{manifests, ofTypes(artifactTypes)}, "]}")), err
}

// pages finds the pages that clients are reading. Its references are weak, so it keeps no page in memory. The zero value is
// empty.
type pages struct {
	mu  sync.Mutex
	all map[string]weak.Pointer[page]
}

func (ps *pages) get(key string) *page {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	return ps.all[key].Value()
}

func (ps *pages) set(key string, p *page) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if ps.all == nil {
		ps.all = map[string]weak.Pointer[page]{}
	}
	ps.all[key] = weak.Make(p)
	runtime.AddCleanup(p, ps.tidy, key)
}

// tidy removes the entry of a page without readers.
func (ps *pages) tidy(key string) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if ps.all[key].Value() == nil {
		delete(ps.all, key)
	}
}
