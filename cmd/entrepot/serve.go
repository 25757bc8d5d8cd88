package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/spf13/cobra"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/handlers"
	"github.com/entrepot-io/entrepot/mirror"
	"github.com/entrepot-io/entrepot/presign"
	"github.com/entrepot-io/entrepot/upstream"
)

func serveCommand() *cobra.Command {
	return configured(&cobra.Command{
		Use:   "serve",
		Short: "Serve the mirror",
		Args:  noArgs,
	}, func(cmd *cobra.Command, cfg config, _ []string) error {
		ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGTERM, os.Interrupt)
		defer stop()
		// A second signal ends the program at once.
		context.AfterFunc(ctx, stop)
		return serve(ctx, cfg, cmd.OutOrStdout(), cmd.ErrOrStderr())
	})
}

// serve runs until ctx ends, and then until the answers that are under way have ended.
func serve(ctx context.Context, cfg config, out, logs io.Writer) error {
	limitMemory(cfg)
	log := newLog(cfg, logs)
	lines := newLineBuffer(logs)
	defer lines.Close()
	var accessLog *slog.Logger
	if cfg.AccessLog {
		accessLog = newLog(cfg, lines)
		if cfg.platform.freezes {
			accessLog = log // a line that waits for others would be frozen with them
		}
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))

	var listener net.Listener
	if !cfg.platform.function {
		// First of all, so that who comes while the rest is made waits instead of being refused.
		var err error
		if listener, err = listen(cfg.platform.portVariable, cfg.Listen); err != nil {
			return err
		}
		defer listener.Close()
	}
	if err := cfg.readSecrets(ctx); err != nil {
		return err
	}
	store, core, err := build(ctx, cfg, log, registry)
	if err != nil {
		return err
	}
	defer cfg.platform.finish(core.Close, log)
	cdn, err := cfg.openCDN()
	if err != nil {
		return err
	}
	urls := presign.New(store, presign.Config{
		Expiry: cfg.PresignExpiry, MinLeft: cfg.PresignLeft, CDN: cdn, Metrics: registry,
	})
	api := handlers.New(handlers.Config{
		Mirror:         core,
		URLs:           urls,
		Redirect:       cfg.Redirect,
		StreamTo:       cfg.StreamTo,
		Miss:           cfg.Miss,
		Stopping:       ctx,
		Revalidate:     cfg.Revalidate,
		TrustedProxies: cfg.Trusted,
		Log:            log,
		AccessLog:      accessLog,
		Metrics:        registry,
	})
	for _, name := range unknownVariables(os.Environ()) {
		log.Warn("variable is no setting and has no effect", "variable", name)
	}
	if cfg.platform.function {
		serveLambda(ctx, cfg, api, core, log)
		return nil
	}
	servers := []*server{{listener: listener, http: newServer(api, log)}}
	if cfg.AdminListen != "" {
		admin, err := listen("ENTREPOT_ADMIN_LISTEN", cfg.AdminListen)
		if err != nil {
			return err
		}
		servers = append(servers, &server{listener: admin, http: newServer(handlers.NewAdmin(core, registry, handlers.Status{
			Version:   programVersion(),
			Started:   time.Now(),
			Store:     cfg.Store.String(),
			Upstreams: upstreamStatus(core.Upstreams),
		}), log)})
	}
	if urls != nil {
		warnOfBucketHost(log, urls.Host(), cfg.Listen)
	}
	if cfg.LogFormat == "json" { // where machines read what is written
		log.Info("listening", "version", programVersion(), "address", listener.Addr().String(), "store", cfg.Store.String())
	} else {
		printBanner(out, cfg, listener.Addr(), core.Upstreams, urls != nil)
	}
	return run(ctx, servers, cfg.DrainTimeout, log)
}

// build makes the store, the clients of the upstreams and the core between them.
func build(ctx context.Context, cfg config, log *slog.Logger, registry *prometheus.Registry) (backend.Store, *mirror.Mirror, error) {
	counts := newTransportMetrics(registry)
	store, err := cfg.openStore(ctx, counts.store)
	if err != nil {
		return nil, nil, err
	}
	transport := upstream.NewTransport(upstream.Timeouts{IdleBody: cfg.Stall, MinSpeed: int64(cfg.MinSpeed), Idle: cfg.platform.idleConnections()})
	keychain, err := cfg.keychain()
	if err != nil {
		return nil, nil, err
	}
	upstreams, err := cfg.Upstreams.open(upstream.Config{
		Keychain:  keychain,
		UserAgent: "entrepot/" + programVersion(),
		Downloads: cfg.Downloads,
		Budget:    cfg.Budget,
		Reserve:   float64(cfg.QuotaReserve),
	}, func(name string, c *upstream.Config) { c.Transport = counts.upstream(name, transport) })
	if err != nil {
		return nil, nil, err
	}
	registry.MustRegister(upstreamMetrics(upstreams))
	return store, mirror.New(mirror.Config{
		Store:       store,
		Upstreams:   upstreams,
		TagTTL:      cfg.TagTTL,
		TagTTLRules: cfg.TagTTLRules.TTLRules,
		Freezes:     cfg.platform.freezes,
		StaleMax:    cfg.StaleMax,
		KeepDeleted: cfg.KeepDeleted,
		NegativeTTL: cfg.NegativeTTL,
		Manifests:   int64(cfg.ManifestCache),
		PresenceTTL: cfg.PresenceTTL,
		RecordUse:   cfg.RecordUse,
		SegmentSize: int64(cfg.SegmentSize),
		FillMemory:  int64(cfg.FillMemory),
		Connections: cfg.Connections,
		Log:         log,
		Metrics:     registry,
	}), nil
}

type server struct {
	listener net.Listener
	http     *http.Server
	unsent   unsent
}

func newServer(handler http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler: handler,
		// No limit on the whole of an answer: a layer takes as long as the client's link needs.
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}

// run serves until ctx ends or a server fails. Then no connection is taken any more, and those that have an answer
// under way are waited for.
func run(ctx context.Context, servers []*server, drain time.Duration, log *slog.Logger) error {
	failed := make(chan error, len(servers))
	for _, s := range servers {
		s.http.ConnState = s.unsent.follow
		go func() { failed <- s.http.Serve(s.listener) }()
	}
	var err error
	select {
	case err = <-failed:
	case <-ctx.Done():
		log.Info("draining", "timeout", drain)
	}
	deadline, cancel := context.WithTimeout(context.Background(), drain)
	defer cancel()
	for _, s := range servers {
		s.unsent.drain()
		if drainErr := s.http.Shutdown(deadline); drainErr != nil {
			err = errors.Join(err, fmt.Errorf("answers were still under way after %s, and are cut off: %w", drain, drainErr), s.http.Close())
		}
	}
	for _, s := range servers {
		if lost := s.unsent.wait(deadline); lost > 0 {
			log.Warn("clients have not taken all of their answers", "bytes", lost)
		}
	}
	return err
}

func newLog(cfg config, w io.Writer) *slog.Logger {
	options := &slog.HandlerOptions{Level: cfg.LogLevel}
	if cfg.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}
