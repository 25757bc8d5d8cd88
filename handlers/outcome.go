package handlers

import (
	"context"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/entrepot-io/entrepot/mirror"
)

// How a request was served, in metrics and in the access log.
const (
	servedError    = "error"
	servedBody     = "body"     // bytes from memory or from the bucket
	servedRedirect = "redirect" // a presigned URL
	servedFill     = "fill"     // bytes of a blob that is being filled
	servedHop      = "hop"      // a redirect to the same URL, to wait for a fill
	servedStale    = "stale"    // a tag that could not be revalidated
)

// outcome collects what metrics and the access log report about a request.
type outcome struct {
	began     time.Time
	kind      kind
	ns        string // the query parameter
	repo      mirror.Repository
	reference string
	served    string
	err       error
}

// statusClientGone is reported if a client left before its response began.
const statusClientGone = 499

// metrics are the metrics of requests. Labels never contain client input.
type metrics struct {
	requests *prometheus.CounterVec
	bytes    *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
}

func newMetrics(r prometheus.Registerer) *metrics {
	auto := promauto.With(r)
	return &metrics{
		requests: auto.NewCounterVec(prometheus.CounterOpts{
			Name: "entrepot_requests_total",
			Help: "Requests of the pull API, by kind, method, status and how they were served.",
		}, []string{"kind", "method", "status", "served"}),
		bytes: auto.NewCounterVec(prometheus.CounterOpts{
			Name: "entrepot_response_bytes_total",
			Help: "Bytes of bodies sent to clients; redirects have none.",
		}, []string{"kind"}),
		seconds: auto.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "entrepot_request_seconds",
			Help:    "Time from a request to the end of its response.",
			Buckets: []float64{.0005, .001, .005, .02, .1, .5, 2, 10, 60, 300},
		}, []string{"kind"}),
	}
}

// done counts a request and writes its line in the access log.
func (a *API) done(c echo.Context, outcome *outcome) {
	r, w := c.Request(), c.Response()
	took := time.Since(outcome.began)
	status := w.Status
	if outcome.err != nil && r.Context().Err() != nil && outcome.served == servedError {
		status = statusClientGone
	}
	method := r.Method
	if method != http.MethodGet && method != http.MethodHead {
		method = "other"
	}
	a.metrics.requests.WithLabelValues(string(outcome.kind), method, strconv.Itoa(status), outcome.served).Inc()
	a.metrics.bytes.WithLabelValues(string(outcome.kind)).Add(float64(w.Size))
	a.metrics.seconds.WithLabelValues(string(outcome.kind)).Observe(took.Seconds())
	if a.AccessLog != nil {
		a.log(r.Context(), c, outcome, status, took)
	}
}

func (a *API) log(ctx context.Context, c echo.Context, outcome *outcome, status int, took time.Duration) {
	r := c.Request()
	attrs := make([]slog.Attr, 0, 14)
	attrs = append(attrs,
		slog.String("method", r.Method),
		slog.String("path", r.URL.Path),
		slog.Int("status", status),
		slog.String("served", outcome.served),
		slog.Int64("bytes", c.Response().Size),
		slog.Float64("seconds", took.Seconds()),
		slog.String("client", c.RealIP()),
		slog.String("agent", r.UserAgent()),
	)
	if outcome.repo != (mirror.Repository{}) {
		attrs = append(attrs, slog.String("registry", outcome.repo.Registry()), slog.String("repository", outcome.repo.Path()))
	}
	if outcome.reference != "" {
		attrs = append(attrs, slog.String("reference", outcome.reference))
	}
	if outcome.ns != "" {
		attrs = append(attrs, slog.String("ns", outcome.ns))
	}
	if requested := r.Header.Get("Range"); requested != "" {
		attrs = append(attrs, slog.String("range", requested))
	}
	level := slog.LevelInfo
	if outcome.err != nil {
		attrs = append(attrs, slog.String("error", outcome.err.Error()))
		if status >= http.StatusInternalServerError {
			level = slog.LevelWarn
		}
	}
	if h := a.AccessLog.Handler(); h.Enabled(ctx, level) {
		// Logger would look up the caller's line each time.
		record := slog.NewRecord(time.Now(), level, "request", 0)
		record.AddAttrs(attrs...)
		_ = h.Handle(ctx, record) // Logger ignores the error too
	}
}
