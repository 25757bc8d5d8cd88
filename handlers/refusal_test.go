package handlers_test

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/bounded"
	"github.com/entrepot-io/entrepot/handlers"

	"github.com/entrepot-io/entrepot/mirror"
	"github.com/entrepot-io/entrepot/upstream/upstreamtest"
)

// unreadable is a store that cannot be read.
type unreadable struct {
	presigning
	fail func(context.Context) error
}

func (s unreadable) Get(ctx context.Context, _ string, _ backend.Range) (io.ReadCloser, backend.Object, error) {
	return nil, backend.Object{}, s.fail(ctx)
}

func (s unreadable) Stat(ctx context.Context, _ string) (backend.Object, error) {
	return backend.Object{}, s.fail(ctx)
}

// full is a store that rejects writes.
type full struct{ presigning }

func (full) Put(context.Context, string, io.Reader, int64, backend.PutOptions) (backend.Object, error) {
	return backend.Object{}, backend.ErrFull
}

// refusal is a kind of request that fails although the upstream is healthy.
type refusal struct {
	name   string
	method string // empty: GET
	paths  func(upstreamtest.Image) []string
	header []string
	setup  func(*refusalWorld)
}

type refusalWorld struct {
	store  backend.Store
	reg    *upstreamtest.Registry
	mirror mirror.Config
	api    handlers.Config
	within time.Duration
	limit  int64 // of bodies, as on Lambda; 0: none
}

func these(paths ...string) func(upstreamtest.Image) []string {
	return func(upstreamtest.Image) []string { return paths }
}

func theBlob(i upstreamtest.Image) []string {
	return []string{"app/blobs/" + i.Layers[0].Digest.String()}
}

func everything(i upstreamtest.Image) []string {
	return append(theBlob(i), "app/manifests/1", "app/manifests/"+i.Digest.String(), "app/tags/list", "app/referrers/"+i.Digest.String())
}

func storeFails(fail func(context.Context) error) func(*refusalWorld) {
	return func(w *refusalWorld) { w.store = unreadable{newPresigning(), fail} }
}

func limited(w *refusalWorld) { w.limit = 100 }

var refusals = []refusal{
	{name: "`POST`, `PUT`, `PATCH`, `DELETE` and others", method: http.MethodPost, paths: these("app/blobs/uploads/", "app/manifests/1", "")},
	{name: "a path that is none of the pull API's", paths: these("_catalog", "app/nonsense/1")},
	{name: "an invalid name of a repository", paths: these("UPPER/manifests/1", "a/../b/manifests/1")},
	{name: "an invalid digest", paths: these("app/blobs/latest", "app/manifests/sha256:1", "app/referrers/x")},
	{name: "a tag that cannot exist", paths: these("app/manifests/-x")},
	{name: "an invalid `n`", paths: these("app/tags/list?n=x", "app/tags/list?n=-1")},
	{name: "a registry that is not mirrored, by `ns` or in the path", paths: these("app/manifests/1?ns=example.org", "example.org/app/manifests/1", "app/tags/list?ns=x")},
	{name: "a `Range` that begins behind the end of a blob", paths: theBlob, header: []string{"Range", "bytes=1000000000-"},
		setup: func(w *refusalWorld) { w.api.Redirect = redirectNobody() }},
	{name: "a blob that `ENTREPOT_FILL_MEMORY` cannot hold", paths: these("app/blobs/" + digest.FromString("").String()), setup: func(w *refusalWorld) {
		w.mirror.FillMemory = backend.MinPart
		w.reg.Faults.Set(upstreamtest.Fault{Kind: upstreamtest.BlobGet, Status: http.StatusPartialContent,
			Header: http.Header{"Content-Range": {"bytes 0-0/1099511627776"}}})
	}},
	{name: "a blob still on its way after eight hops (`ENTREPOT_MISS=redirect`)", setup: func(w *refusalWorld) {
		w.api.Miss, w.within = handlers.MissRedirect, 2*time.Second
		w.reg.Faults.Set(upstreamtest.Fault{Kind: upstreamtest.BlobGet, Damage: upstreamtest.Stall, BytesPerSecond: 1})
	}, paths: func(i upstreamtest.Image) []string { return []string{theBlob(i)[0] + "?hop=8"} }},
	{name: "a manifest or a list of more than 32 KiB while [the memory for them](#memory) is in use", paths: func(i upstreamtest.Image) []string {
		return everything(i)[1:]
	}, setup: func(w *refusalWorld) {
		w.mirror.Memory = bounded.NewBudget(100 << 10)
		hold := w.mirror.Memory.Hold()
		_ = hold.Take(context.Background(), w.mirror.Memory.Size()) // all of it is free
		large := upstreamtest.Fault{Body: bytes.Repeat([]byte(" "), bounded.Small+1)}
		for _, kind := range []upstreamtest.Kind{upstreamtest.ManifestGet, upstreamtest.Tags, upstreamtest.Referrers} {
			large.Kind = kind
			w.reg.Faults.Add(large)
		}
	}},
	{name: "anything while the bucket fails", paths: everything, setup: storeFails(func(context.Context) error { return errors.New("connection refused") })},
	{name: "anything while the bucket hangs", paths: everything, setup: storeFails(func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })},
	{name: "on Lambda, a blob for a client that is not redirected", paths: theBlob, setup: func(w *refusalWorld) {
		limited(w)
		w.api.Redirect = redirectNobody()
	}},
	{name: "on Lambda, a manifest that is too large, for a client that is not redirected", setup: func(w *refusalWorld) {
		limited(w)
		w.api.Redirect = redirectNobody()
	}, paths: these("app/manifests/1")},
	{name: "on Lambda, a blob that the bucket does not take", paths: theBlob, setup: func(w *refusalWorld) {
		limited(w)
		w.api.Miss, w.store = handlers.MissRedirect, full{newPresigning()}
	}},
}

func redirectNobody() (never handlers.Redirect) {
	_ = never.UnmarshalText([]byte("never")) // valid
	return never
}

func TestRefusalTableMatchesBehavior(t *testing.T) {
	t.Parallel()
	rows := [][]string{{"request", "response"}}
	var wg sync.WaitGroup
	for _, refusal := range refusals {
		row := []string{refusal.name, ""}
		rows = append(rows, row)
		wg.Go(func() { t.Run(refusal.name, func(t *testing.T) { row[1] = refusal.answer(t) }) })
	}
	wg.Wait()
	checkTable(t, "docs/operations.md", "errors", rows)
}

// answer describes the response to all of the requests in the words of the table.
func (r refusal) answer(t *testing.T) string {
	reg := upstreamtest.Start(t, upstreamtest.Options{})
	paths := r.paths(reg.Image("library/app", "1", 100_000))
	said := make([]string, len(paths))
	var wg sync.WaitGroup
	for i, path := range paths {
		wg.Go(func() { t.Run(path, func(t *testing.T) { said[i] = r.ask(t, reg, path) }) })
	}
	wg.Wait()
	for i := range said {
		assert.Equal(t, said[0], said[i], paths[i])
	}
	return said[0]
}

func (r refusal) ask(t *testing.T, reg *upstreamtest.Registry, path string) string {
	w := refusalWorld{store: newPresigning(), reg: reg}
	if r.setup != nil {
		r.setup(&w)
	}
	base, err := url.Parse(reg.URL())
	require.NoError(t, err)
	f := serveAs(t, base, w.store, w.mirror, w.api, w.within)
	if w.limit > 0 {
		handler := f.Config.Handler
		f.Server = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
			handler.ServeHTTP(rw, req.WithContext(handlers.LimitBody(req.Context(), w.limit)))
		}))
		t.Cleanup(f.Server.Close)
	}
	return f.do(t, cmp.Or(r.method, http.MethodGet), "/v2/"+path, r.header...).problem(t)
}
