package handlers

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/entrepot-io/entrepot/mirror"
	"github.com/entrepot-io/entrepot/presign"
)

// Config configures New.
type Config struct {
	Mirror         *mirror.Mirror
	URLs           *presign.URLs // nil if the store cannot presign: blobs are then streamed
	Redirect       Redirect
	StreamTo       Clients // clients that get bytes even if Redirect includes them
	Miss           Miss
	Stopping       context.Context // ends at shutdown, and ends all waits; nil for never
	Revalidate     bool            // honour a client's Cache-Control: no-cache
	TrustedProxies []netip.Prefix  // whose X-Forwarded-For is trusted
	Log            *slog.Logger
	AccessLog      *slog.Logger          // gets a line per request; nil for none
	Metrics        prometheus.Registerer // nil for none
}

// API is the pull API of the OCI distribution spec.
type API struct {
	Config
	metrics   *metrics
	bucket    BucketHost
	overheard sync.Once
}

// New returns the handler of the main port: the pull API, /healthz and /readyz.
func New(cfg Config) http.Handler {
	api := &API{Config: cfg, metrics: newMetrics(cfg.Metrics)}
	if cfg.URLs != nil {
		api.bucket = NewBucketHost(cfg.URLs.Host())
	}
	e := echo.New()
	e.HTTPErrorHandler = api.routingError
	e.IPExtractor = clientAddress(cfg.TrustedProxies)
	for _, path := range []string{"/v2", "/v2/*"} {
		e.Any(path, api.serve)
	}
	health := newHealth(cfg.Mirror.Ready)
	e.GET("/healthz", echo.WrapHandler(http.HandlerFunc(health.live)))
	e.GET("/readyz", echo.WrapHandler(http.HandlerFunc(health.ready)))
	return ignoreBodies(e)
}

// clientAddress returns the extractor of a client's address.
func clientAddress(trusted []netip.Prefix) echo.IPExtractor {
	if len(trusted) == 0 {
		return echo.ExtractIPDirect()
	}
	options := []echo.TrustOption{echo.TrustLoopback(false), echo.TrustLinkLocal(false), echo.TrustPrivateNet(false)}
	for _, p := range trusted {
		options = append(options, echo.TrustIPRange(ipNet(p)))
	}
	return echo.ExtractIPFromXFFHeader(options...)
}

var apiVersion = []string{"registry/2.0"}

// serve answers a request of the pull API, and records its outcome.
func (a *API) serve(c echo.Context) error {
	outcome := &outcome{began: time.Now(), kind: kindUnknown, served: servedError}
	// Deferred, since a body that ends short panics.
	defer a.done(c, outcome)
	c.Response().Header()["Docker-Distribution-Api-Version"] = apiVersion
	if err := a.dispatch(c, outcome); err != nil {
		outcome.err = err
		return a.fail(c, outcome, err)
	}
	return nil
}

func (a *API) dispatch(c echo.Context, outcome *outcome) error {
	r := c.Request()
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return errUnsupported
	}
	route, err := parseRoute(r.URL.Path)
	if err != nil {
		return err
	}
	outcome.kind = route.kind
	if route.kind == kindBase {
		outcome.served = servedBody
		return c.JSONBlob(http.StatusOK, []byte("{}"))
	}
	if r.URL.RawQuery != "" {
		outcome.ns = r.URL.Query().Get("ns")
	}
	outcome.repo, err = a.Mirror.Choose(outcome.ns, route.name)
	if err != nil {
		return err
	}
	if outcome.ns != "" {
		c.Response().Header().Set("OCI-Namespace", outcome.repo.Registry())
	}
	switch route.kind {
	case kindManifest:
		return a.manifest(c, outcome, route.ref)
	case kindBlob:
		return a.blob(c, outcome, route.ref)
	case kindReferrers:
		return a.referrers(c, outcome, route.ref)
	default:
		return a.tags(c, outcome)
	}
}
