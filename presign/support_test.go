package presign_test

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/infra/testenv"
	"github.com/entrepot-io/entrepot/presign"
)

func TestMain(m *testing.M) { os.Exit(testenv.Main(m)) }

func parse(t testing.TB, text string) *url.URL {
	t.Helper()
	u, err := url.Parse(text)
	require.NoError(t, err)
	return u
}

// counted is URLs with the registry that counts their signatures.
type counted struct {
	*presign.URLs
	registry *prometheus.Registry
}

func newURLs(store backend.Store, c presign.Config) counted {
	registry := prometheus.NewRegistry()
	c.Metrics = registry
	return counted{presign.New(store, c), registry}
}

func (c counted) get(t *testing.T, key string) string {
	t.Helper()
	url, err := c.Get(t.Context(), key)
	require.NoError(t, err)
	return url
}

func (c counted) signatures(t *testing.T) int {
	t.Helper()
	families, err := c.registry.Gather()
	require.NoError(t, err)
	require.Len(t, families, 1)
	require.Equal(t, "entrepot_presign_signatures_total", families[0].GetName())
	return int(families[0].GetMetric()[0].GetCounter().GetValue())
}

// signing is a store whose URLs contain the arguments of PresignGet.
type signing struct {
	backend.Store
	by *signer
}

func newSigning() *signing { return &signing{by: &signer{}} }

// signer has credentials that expire at expires, if that is set.
type signer struct {
	credentials string
	expires     time.Time
}

func (s *signing) Signer(context.Context, time.Time) (backend.Signer, error) { return s.by, nil }

func (s *signing) Host() string { return "bucket.example" }

func (s *signer) PresignGet(key string, signedAt time.Time, expires time.Duration) (string, time.Time, error) {
	until := signedAt.Add(expires)
	if !s.expires.IsZero() && s.expires.Before(until) {
		until = s.expires
	}
	return fmt.Sprintf("%s?by=%s&at=%d&until=%d", key, s.credentials, signedAt.Unix(), until.Unix()), until, nil
}
