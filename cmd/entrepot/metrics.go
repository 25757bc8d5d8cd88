package main

import (
	"net/http"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// transportMetrics counts the HTTP requests that entrepot sends, including retries inside client libraries.
type transportMetrics struct {
	stores, upstreams *prometheus.CounterVec
}

func newTransportMetrics(r prometheus.Registerer) transportMetrics {
	auto := promauto.With(r)
	return transportMetrics{
		stores: auto.NewCounterVec(prometheus.CounterOpts{
			Name: "entrepot_store_requests_total", Help: "Requests to the bucket, by method and status.",
		}, []string{"method", "status"}),
		upstreams: auto.NewCounterVec(prometheus.CounterOpts{
			Name: "entrepot_upstream_requests_total",
			Help: "Requests to upstreams, their token services and their storage, by method and status.",
		}, []string{"upstream", "method", "status"}),
	}
}

func (m transportMetrics) store(next http.RoundTripper) http.RoundTripper {
	return counted{next, m.stores}
}

func (m transportMetrics) upstream(name string, next http.RoundTripper) http.RoundTripper {
	return counted{next, m.upstreams.MustCurryWith(prometheus.Labels{"upstream": name})}
}

// counted is a transport that counts requests by method and status; the status is "error" without a response.
type counted struct {
	next  http.RoundTripper
	count *prometheus.CounterVec
}

func (c counted) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := c.next.RoundTrip(req)
	status := "error"
	if err == nil {
		status = strconv.Itoa(resp.StatusCode)
	}
	c.count.With(prometheus.Labels{"method": req.Method, "status": status}).Inc()
	return resp, err
}
