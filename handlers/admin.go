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

// Status is the content of /status.
type Status struct {
	Version   string            `json:"version"`
	Started   time.Time         `json:"started"`
	Store     string            `json:"store"`
	Upstreams json.Marshaler    `json:"upstreams"` // the current states of their endpoints, by name
	Ready     string            `json:"ready"`     // "yes", "yes, but" and the trouble, or the reason why not
	Fills     int               `json:"fills"`     // in progress
	Missing   []ability.Missing `json:"missing"`   // abilities that the store lacks, for good or for now
}

// NewAdmin returns the handler of the operator's port: /metrics, /healthz, /readyz, /status and /debug/pprof/. Clients must
// not reach it. base is the constant part of the status.
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
		_ = json.NewEncoder(w).Encode(status) // fails only if the client has left
	})
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	return ignoreBodies(mux)
}
