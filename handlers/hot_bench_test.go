package handlers_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/backend/backendtest/memory"
	"github.com/entrepot-io/entrepot/handlers"
	"github.com/entrepot-io/entrepot/mirror"
	"github.com/entrepot-io/entrepot/presign"
	"github.com/entrepot-io/entrepot/upstream"
	"github.com/entrepot-io/entrepot/upstream/upstreamtest"
)

// sink is a ResponseWriter that discards the response. Like a connection, it serves many requests.
type sink struct {
	header http.Header
	status int
}

func (s *sink) Header() http.Header         { return s.header }
func (s *sink) WriteHeader(status int)      { s.status = status }
func (s *sink) Write(p []byte) (int, error) { return len(p), nil }
func (s *sink) Flush()                      {}

// constantURL is a presigner that always returns the same URL, at no cost.
type constantURL struct{}

func (u constantURL) Signer(context.Context, time.Time) (backend.Signer, error) { return u, nil }

func (constantURL) Host() string { return "bucket.example.com" }

func (constantURL) PresignGet(_ string, signedAt time.Time, expires time.Duration) (string, time.Time, error) {
	return "https://bucket.example.com/public/blobs/sha256/", signedAt.Add(expires), nil
}

// hot is a handler with an image in memory.
type hot struct {
	http.Handler
	reg   *upstreamtest.Registry
	image upstreamtest.Image
	path  map[string]string
}

func newHot(t testing.TB) hot {
	t.Helper()
	reg := upstreamtest.Start(t, upstreamtest.Options{})
	image := reg.Image("library/app", "1", 100)
	base, err := url.Parse(reg.URL())
	require.NoError(t, err)
	u, err := upstream.New(upstream.Config{Name: "docker.io", Endpoints: []*url.URL{base}, Transport: http.DefaultTransport})
	require.NoError(t, err)
	store := struct {
		backend.Store
		backend.Presigner
	}{new(memory.Store), constantURL{}}
	log := slog.New(slog.DiscardHandler)
	metrics := prometheus.NewRegistry()
	core := mirror.New(mirror.Config{
		Store: store, Upstreams: []*upstream.Registry{u}, TagTTL: time.Hour, RecordUse: true, Log: log, Metrics: metrics,
	})
	t.Cleanup(core.Close)
	h := hot{
		Handler: handlers.New(handlers.Config{
			Mirror: core, URLs: presign.New(store, presign.Config{Expiry: time.Hour}), Log: log, AccessLog: log, Metrics: metrics,
		}),
		reg: reg, image: image,
	}
	name := "/v2/library/app"
	h.path = map[string]string{
		"blob":               name + "/blobs/" + image.Layers[0].Digest.String(),
		"manifest by digest": name + "/manifests/" + image.Digest.String(),
		"manifest by tag":    name + "/manifests/1",
	}
	for _, path := range h.path {
		for range 2 { // the first request stores the content
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
			require.Less(t, w.Code, 400, path)
		}
	}
	return h
}

// serve returns a function that serves one request, to measure it.
func (h hot) serve(t testing.TB, method, path string, status int) func() {
	t.Helper()
	r := httptest.NewRequest(method, path, nil)
	w := &sink{header: http.Header{}}
	return func() {
		clear(w.header)
		h.ServeHTTP(w, r)
		if w.status != status {
			t.Fatalf("%s %s is %d", method, path, w.status)
		}
	}
}

// bare returns a handler that only redirects.
func bare() http.Handler {
	e := echo.New()
	e.Any("/v2/*", func(c echo.Context) error {
		return c.Redirect(http.StatusTemporaryRedirect, "https://bucket.example.com/public/blobs/sha256/")
	})
	return e
}

func BenchmarkHot(b *testing.B) {
	h := newHot(b)
	for _, c := range []struct {
		name, method, path string
		status             int
	}{
		{"blob redirect", "GET", h.path["blob"], 307},
		{"blob HEAD", "HEAD", h.path["blob"], 200},
		{"manifest by digest", "GET", h.path["manifest by digest"], 200},
		{"manifest by tag", "GET", h.path["manifest by tag"], 200},
	} {
		b.Run(c.name, func(b *testing.B) {
			serve := h.serve(b, c.method, c.path, c.status)
			b.ReportAllocs()
			for b.Loop() {
				serve()
			}
		})
	}
	b.Run("bare echo", func(b *testing.B) {
		serve := hot{Handler: bare()}.serve(b, "GET", h.path["blob"], 307)
		b.ReportAllocs()
		for b.Loop() {
			serve()
		}
	})
}
