package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/upstream"
)

func TestUpstreamMetricsAndStatus(t *testing.T) {
	busy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("RateLimit-Limit", "100;w=21600")
		w.Header().Set("RateLimit-Remaining", "7;w=21600")
		w.Header().Set("Docker-RateLimit-Source", "192.0.2.1")
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	defer busy.Close()
	base, err := url.Parse(busy.URL)
	require.NoError(t, err)
	// An endpoint that is configured twice must not make the page fail.
	u, err := upstream.New(upstream.Config{Name: "docker.io", Endpoints: []*url.URL{base, base}, Transport: http.DefaultTransport})
	require.NoError(t, err)
	repo, err := upstream.ParseRepository("docker.io", "app")
	require.NoError(t, err)
	ref, err := upstream.ParseReference("1")
	require.NoError(t, err)
	for range 5 {
		_, err = u.GetManifest(t.Context(), repo, ref)
		require.Error(t, err)
	}

	registry := prometheus.NewRegistry()
	registry.MustRegister(upstreamMetrics{u})
	page := httptest.NewRecorder()
	promhttp.HandlerFor(registry, promhttp.HandlerOpts{}).ServeHTTP(page, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	require.Equal(t, http.StatusOK, page.Code, page.Body.String())
	labels := `{endpoint="` + busy.URL + `",`
	for _, line := range []string{
		`entrepot_upstream_endpoint_state` + labels + `state="unavailable",upstream="docker.io"} 1`,
		`entrepot_upstream_endpoint_state` + labels + `state="slow",upstream="docker.io"} 0`,
		`entrepot_upstream_endpoint_state` + labels + `state="healthy",upstream="docker.io"} 0`,
		`entrepot_upstream_ratelimit_limit` + labels + `source="192.0.2.1",upstream="docker.io"} 100`,
		`entrepot_upstream_ratelimit_remaining` + labels + `source="192.0.2.1",upstream="docker.io"} 7`,
	} {
		assert.Contains(t, page.Body.String(), line)
	}

	data, err := json.Marshal(upstreamStatus{u})
	require.NoError(t, err)
	var status map[string][]endpointStatus
	require.NoError(t, json.Unmarshal(data, &status))
	require.Len(t, status["docker.io"], 2)
	first := status["docker.io"][0]
	assert.Equal(t, "unavailable", first.State)
	assert.Contains(t, first.Reason, "503")
	assert.NotZero(t, first.Until)
	assert.EqualValues(t, 7, first.Quota.Remaining)
	assert.EqualValues(t, 21600, first.Quota.Window)
}
