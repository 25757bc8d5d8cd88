package main

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/entrepot-io/entrepot/upstream"
)

// upstreamMetrics collects the current state of the upstreams.
type upstreamMetrics []*upstream.Registry

var (
	endpointState = prometheus.NewDesc("entrepot_upstream_endpoint_state",
		"1 for the endpoint's current state, 0 for the others.",
		[]string{"upstream", "endpoint", "state"}, nil)
	rateLimit = prometheus.NewDesc("entrepot_upstream_ratelimit_limit",
		"Pulls that an endpoint allows in a window, if it reported that within the last window.",
		[]string{"upstream", "endpoint", "source"}, nil)
	rateRemaining = prometheus.NewDesc("entrepot_upstream_ratelimit_remaining",
		"Pulls left of the limit.",
		[]string{"upstream", "endpoint", "source"}, nil)
)

// Describe implements prometheus.Collector.
func (upstreamMetrics) Describe(to chan<- *prometheus.Desc) {
	to <- endpointState
	to <- rateLimit
	to <- rateRemaining
}

// Collect implements prometheus.Collector. It sends no requests.
func (m upstreamMetrics) Collect(to chan<- prometheus.Metric) {
	gauge := func(desc *prometheus.Desc, value float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, labels...)
	}
	for _, u := range m {
		seen := map[string]bool{}
		for _, e := range u.Status() {
			if seen[e.URL] {
				continue // configured twice: duplicate metrics would make the whole page fail
			}
			seen[e.URL] = true
			for _, state := range upstream.States() {
				value := 0.0
				if state == e.State {
					value = 1
				}
				gauge(endpointState, value, u.Name(), e.URL, state)
			}
			if q := e.Quota; q != nil {
				gauge(rateLimit, float64(q.Limit), u.Name(), e.URL, q.Source)
				gauge(rateRemaining, float64(q.Remaining), u.Name(), e.URL, q.Source)
			}
		}
	}
}
