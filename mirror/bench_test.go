package mirror_test

import (
	"log/slog"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/backend/backendtest/memory"
	"github.com/entrepot-io/entrepot/mirror"
	"github.com/entrepot-io/entrepot/upstream"
)

// newLonely returns a mirror with a blob in its store. It never asks its upstreams.
func newLonely(b *testing.B) (*mirror.Mirror, digest.Digest) {
	b.Helper()
	store := new(memory.Store)
	d := digest.FromString("")
	_, err := store.Put(b.Context(), "public/blobs/sha256/"+d.Encoded(), http.NoBody, 0, backend.PutOptions{})
	require.NoError(b, err)
	var upstreams []*upstream.Registry
	for _, name := range []string{"docker.io", "ghcr.io"} {
		u, err := upstream.New(upstream.Config{
			Name: name, Endpoints: []*url.URL{{Scheme: "http", Host: "127.0.0.1:1"}}, Transport: http.DefaultTransport,
		})
		require.NoError(b, err)
		upstreams = append(upstreams, u)
	}
	m := mirror.New(mirror.Config{
		Store: store, Upstreams: upstreams, PresenceTTL: time.Hour, RecordUse: true, Log: slog.New(slog.DiscardHandler),
	})
	b.Cleanup(m.Close)
	return m, d
}

func BenchmarkChoose(b *testing.B) {
	m, _ := newLonely(b)
	for name, asked := range map[string]struct{ ns, name string }{
		"by default": {"", "library/alpine"},
		"by path":    {"", "ghcr.io/org/app"},
		"by ns":      {"ghcr.io", "org/app"},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := m.Choose(asked.ns, asked.name); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkPresence looks up a blob that is known to be in the bucket, and marks its use.
func BenchmarkPresence(b *testing.B) {
	m, d := newLonely(b)
	repo, err := m.Choose("", "library/alpine")
	require.NoError(b, err)
	b.ReportAllocs()
	for b.Loop() {
		blob, err := m.Blob(b.Context(), repo, d)
		if err != nil {
			b.Fatal(err)
		}
		if _, stored := blob.StoredAt(); !stored {
			b.Fatal("it is not known to be stored")
		}
	}
}
