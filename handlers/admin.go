package handlers

import (
	"encoding/json"
	"net/http"
	"net/http/pprof"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/entrepot-io/entrepot/mirror"
	"github.com/entrepot-io/entrepot/mirror/ability"
)

// Status is what the operator's page says besides the metrics.
type Status struct {
	Version   string            `json:"version"`
	Started   time.Time         `json:"started"`
	Store     string            `json:"store"`
	Upstreams json.Marshaler    `json:"upstreams"` // by name, how their endpoints do at the time of asking
	Ready     string            `json:"ready"`     // "yes", "yes, but" what is amiss, or why not
	Fills     int               `json:"fills"`     // blobs on their way
	Missing   []ability.Missing `json:"missing"`   // abilities that the store does not have, or not at the moment
}

// NewAdmin returns the handler of the operator's port: /metrics, /healthz, /readyz, /status and /debug/pprof/. It is not
// for clients. base is the part of the status that does not change.
func NewAdmin(m *mirror.Mirror, metrics prometheus.Gatherer, base Status) http.Handler {
	mux := http.NewServeMux()
	health := newHealth(m.Ready)
	mux.HandleFunc("GET /healthz", health.live)
	mux.HandleFunc("GET /readyz", health.ready)
	mux.Handle("GET /metrics", promhttp.HandlerFor(metrics, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, r *http.Request) {
		status := base
		status.Ready, status.Fills, status.Missing = "yes", m.FillCount(), m.MissingAbilities()
		complaint, err := health.state(r.Context())
		switch {
		case err != nil:
			status.Ready = err.Error()
		case complaint != "":
			status.Ready = "yes, but " + complaint
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(status) // the client is gone, or not
	})
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	return ignoreBodies(mux)
}
