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
	"github.com/entrepot-io/entrepot/bounded"
	"github.com/entrepot-io/entrepot/cmd/entrepot/internal/unsent"
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
		// A second signal ends the program immediately.
		context.AfterFunc(ctx, stop)
		return serve(ctx, cfg, cmd.OutOrStdout(), cmd.ErrOrStderr())
	})
}

// serve runs the mirror until ctx ends and the responses under way are complete.
func serve(ctx context.Context, cfg config, out, logs io.Writer) error {
	limitMemory(cfg)
	log := newLog(cfg, logs)
	lines := newLineBuffer(logs)
	defer lines.Close()
	var accessLog *slog.Logger
	if cfg.AccessLog {
		accessLog = newLog(cfg, lines)
		if cfg.platform.freezes {
			accessLog = log // a freeze would hold back buffered lines
		}
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))

	var listener net.Listener
	if !cfg.platform.function {
		// Listen first, so that clients wait during the start instead of being refused.
		var err error
		if listener, err = listen(cfg.platform.portVariable, cfg.Listen); err != nil {
			return err
		}
		defer listener.Close()
	}
	if err := cfg.readSecrets(ctx, log); err != nil {
		return err
	}
	store, core, err := build(ctx, cfg, log, registry)
	if err != nil {
		return err
	}
	defer cfg.platform.finish(core.Close, log)
	defer expireFills(store, log)()
	cdn, err := cfg.openCDN()
	if err != nil {
		return err
	}
	urls := presign.New(store, presign.Config{
		Expiry: cfg.PresignExpiry, MinLeft: cfg.PresignMinLeft, CDN: cdn, Metrics: registry,
	})
	api := handlers.New(handlers.Config{
		Mirror:         core,
		URLs:           urls,
		Redirect:       cfg.Redirect,
		StreamTo:       cfg.StreamTo,
		Miss:           cfg.Miss,
		Stopping:       ctx,
		Revalidate:     cfg.ClientRevalidate,
		TrustedProxies: cfg.TrustedProxies,
		Log:            log,
		AccessLog:      accessLog,
		Metrics:        registry,
	})
	for _, unknown := range unknownVariables(os.Environ()) {
		log.Warn("unknown setting ignored", unknown.attributes()...)
	}
	if cfg.platform.function {
		return serveLambda(ctx, cfg, api, store, core, log)
	}
	core.FindAbilities()
	if err := cfg.collectWhileServing(ctx, store, core, log, registry); err != nil {
		return err
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
	if cfg.LogFormat == "json" { // machines read the output
		log.Info("listening", "version", programVersion(), "address", listener.Addr().String(), "store", cfg.Store.String())
	} else {
		printBanner(out, cfg, listener.Addr(), core.Upstreams, urls != nil)
	}
	return run(ctx, servers, cfg.DrainTimeout, log)
}

// build creates the store, the upstream clients and the mirror that uses them.
func build(ctx context.Context, cfg config, log *slog.Logger, registry *prometheus.Registry) (backend.Store, *mirror.Mirror, error) {
	counts := newTransportMetrics(registry)
	store, err := cfg.openStore(ctx, counts.store, log)
	if err != nil {
		return nil, nil, err
	}
	transport := upstream.NewTransport(upstream.Timeouts{IdleBody: cfg.UpstreamStall, MinSpeed: int64(cfg.UpstreamMinSpeed), Idle: cfg.platform.idleTimeout()})
	keychain, err := cfg.keychain()
	if err != nil {
		return nil, nil, err
	}
	memory := bounded.NewBudget(mirror.Buffers(int64(cfg.ManifestCache)))
	upstreams, err := cfg.Upstreams.open(upstream.Config{
		Keychain:  keychain,
		UserAgent: "entrepot/" + programVersion(),
		Downloads: cfg.UpstreamConnections,
		Budget:    cfg.UpstreamBudget,
		Reserve:   float64(cfg.QuotaReserve),
		Offline:   cfg.Offline,
	}, func(name string, c *upstream.Config) {
		c.Transport = counts.upstream(name, transport)
		c.Memory = shareOf(memory, len(cfg.Upstreams))
	})
	if err != nil {
		return nil, nil, err
	}
	registry.MustRegister(upstreamMetrics(upstreams))
	if cfg.Offline {
		cfg.StaleMax = 0 // no tag can be revalidated
	}
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
		Memory:      memory,
		PresenceTTL: cfg.PresenceTTL,
		RecordUse:   cfg.RecordUse,
		UseInterval: cfg.useInterval(),
		SegmentSize: int64(cfg.SegmentSize),
		FillMemory:  int64(cfg.FillMemory),
		Connections: cfg.FillConnections,
		Log:         log,
		Metrics:     registry,
	}), nil
}

// server is an HTTP server on one of the program's ports.
type server struct {
	listener net.Listener
	http     *http.Server
	unsent   unsent.Tracker
}

func newServer(handler http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler: handler,
		// ReadTimeout covers a whole request, including one that never reaches a handler because of an unknown Expect.
		// There is no limit on the duration of a response: a layer takes as long as the client's link needs.
		ReadTimeout:    10 * time.Second,
		IdleTimeout:    2 * time.Minute,
		MaxHeaderBytes: 64 << 10,
		ErrorLog:       slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		// The general handler reads request bodies.
		DisableGeneralOptionsHandler: true,
	}
}

// run serves until ctx ends or a server fails. It then accepts no more connections and waits up to drain for the responses
// under way.
func run(ctx context.Context, servers []*server, drain time.Duration, log *slog.Logger) error {
	failed := make(chan error, len(servers))
	for _, s := range servers {
		s.http.ConnState = s.unsent.ConnState
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
		s.unsent.Drain()
		if drainErr := s.http.Shutdown(deadline); drainErr != nil {
			err = errors.Join(err, fmt.Errorf("responses cut off after %s: %w", drain, drainErr), s.http.Close())
		}
	}
	for _, s := range servers {
		if lost := s.unsent.Wait(deadline); lost > 0 {
			log.Warn("responses not fully received by clients", "bytes", lost)
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
