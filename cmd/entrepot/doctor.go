package main

import (
	"context"
	"errors"
	"log/slog"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/doctor"
	"github.com/entrepot-io/entrepot/handlers"
	"github.com/entrepot-io/entrepot/mirror/layout"
	"github.com/entrepot-io/entrepot/presign"
	"github.com/entrepot-io/entrepot/upstream"
)

// doctorCommand returns the command that checks an installation.
func doctorCommand() *cobra.Command {
	var images []string
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Check the settings, the store, the upstreams and this machine",
		Long: "Check everything that the mirror needs, from the machine and with the settings with which it runs: contradictions between settings, " +
			"memory and disk; the store's permissions, conditional writes, copies, checksums and clock; the URLs to which clients are redirected; " +
			"and for each upstream DNS, TLS, HTTP proxy, token, a manifest, a range of a blob, and the quota that is left. Each result has its " +
			"consequence and a remedy. The exit code is 1 if something is broken.\n\n" +
			"The objects that it writes are below public/fills/doctor/; it removes them. It pulls one small image from each upstream, which may count " +
			"as two pulls.",
		Example: "  entrepot doctor\n  entrepot doctor --image corp.example/app:1 --output json",
		Args:    noArgs,
	}
	cmd.Flags().StringArrayVar(&images, "image", nil, "`IMAGE` to look for at its upstream, such as corp.example/app:1; may be repeated; default: a public image of each upstream")
	format := addOutputFlag(cmd)
	return operator(cmd, func(cmd *cobra.Command, cfg config, _ []string) error {
		known, err := readImages(images)
		if err != nil {
			return err
		}
		ctx, stop := interruptible(cmd)
		defer stop()
		found := make(chan []doctor.Finding, 1)
		go func() { found <- examine(ctx, cfg, known) }()
		select {
		case findings := <-found:
			if ctx.Err() == nil {
				return printFindings(cmd.OutOrStdout(), *format, findings)
			}
		case <-ctx.Done():
			select {
			case <-found: // the objects are removed
			case <-time.After(closeTimeout):
			}
		}
		return errors.New("doctor: interrupted")
	})
}

// examine makes all checks. They run at the same time, and their findings are in a fixed order.
func examine(ctx context.Context, cfg config, images doctor.Images) []doctor.Finding {
	log := slog.New(slog.DiscardHandler)
	settings := cfg.checkSettings(os.Environ())
	if err := cfg.readSecrets(ctx, log); err != nil {
		settings.Break("secrets", err, "the mirror does not start", "correct the ARN, and allow secretsmanager:GetSecretValue on it")
	}
	checks := []func() []doctor.Finding{
		cfg.checkMachine,
		func() []doctor.Finding { return cfg.checkStore(ctx, log) },
	}
	for _, u := range cfg.Upstreams {
		if cfg.Offline {
			checks = append(checks, func() []doctor.Finding {
				f := doctor.Findings{Subject: "upstream " + u.name}
				f.OK("requests", "none: ENTREPOT_OFFLINE is set")
				return f.All
			})
			continue
		}
		checks = append(checks, func() []doctor.Finding { return cfg.checkUpstream(ctx, u, images) })
	}
	results := make([][]doctor.Finding, len(checks))
	var group sync.WaitGroup
	for i, check := range checks {
		group.Go(func() { results[i] = check() })
	}
	group.Wait()
	return append(settings.All, slices.Concat(results...)...)
}

// checkStore checks the store, and the URLs to which clients are redirected.
func (c config) checkStore(ctx context.Context, log *slog.Logger) []doctor.Finding {
	f := doctor.Findings{Subject: "store " + c.Store.String()}
	store, err := c.openStore(ctx, nil, log)
	if err != nil {
		f.Break("settings", err, "the mirror does not start", "correct the setting or the credentials")
		return f.All
	}
	prefix := layout.Public.Fills() + "doctor/"
	f.All = doctor.Store{Backend: store, Name: f.Subject, Prefix: prefix}.Check(ctx)
	return append(f.All, c.checkURLs(ctx, store, prefix)...)
}

// checkURLs checks the URLs to which clients are redirected.
func (c config) checkURLs(ctx context.Context, store backend.Store, prefix string) []doctor.Finding {
	f := doctor.Findings{Subject: "redirects"}
	cdn, err := c.openCDN()
	if err != nil {
		f.Break("URL", err, "the mirror does not start", "correct the CDN's key")
		return f.All
	}
	urls := presign.New(store, presign.Config{Expiry: c.PresignExpiry, MinLeft: c.PresignMinLeft, CDN: cdn})
	switch {
	case urls == nil:
		f.OK("URL", "none: clients get streams, since the store is a folder")
		return f.All
	case c.Redirect.String() == "never":
		f.OK("URL", "none: clients get streams, since ENTREPOT_REDIRECT is never")
		return f.All
	}
	check := doctor.URLs{Backend: store, Prefix: prefix, Get: urls.Get, Host: urls.Host(), Setting: "ENTREPOT_STORE_PUBLIC_ENDPOINT"}
	if cdn != nil {
		check.Setting = "ENTREPOT_CDN_URL"
	} else {
		check.Presigner, _ = store.(backend.Presigner) // nil if it cannot: then there is nothing to check
	}
	f.Subject, f.All = "redirects to "+urls.Host(), check.Check(ctx)
	host := handlers.NewBucketHost(urls.Host())
	if slices.ContainsFunc(ownNames(c.Listen), host.Under) {
		f.Warn("host name", urls.Host()+" is this machine's name or below it",
			"clients that reach the mirror under that name send their credentials to the bucket too, which refuses them: entrepot streams to them",
			"give the bucket a host name of its own in "+check.Setting)
	}
	return f.All
}

// checkUpstream checks each endpoint of an upstream.
func (c config) checkUpstream(ctx context.Context, u upstreamSetting, images doctor.Images) []doctor.Finding {
	f := doctor.Findings{Subject: "upstream " + u.name}
	keychain, err := c.keychain()
	if err != nil {
		f.Break("credentials", err, "the mirror does not start", "correct ENTREPOT_DOCKER_CONFIG")
		return f.All
	}
	transport := upstream.NewTransport(upstream.Timeouts{IdleBody: c.UpstreamStall, MinSpeed: int64(c.UpstreamMinSpeed)})
	cfg := upstream.Config{Name: u.name, Keychain: keychain, Transport: transport, UserAgent: "entrepot/" + programVersion()}
	endpoints := u.endpoints
	if len(endpoints) == 0 {
		endpoints = []*url.URL{nil} // the default
	}
	for _, e := range endpoints {
		if cfg.Endpoints = nil; e != nil {
			cfg.Endpoints = []*url.URL{e}
		}
		registry, err := upstream.New(cfg)
		if err != nil {
			f.Break("credentials", err, "the mirror does not start", "correct Docker's config.json or ENTREPOT_DOCKER_CONFIG")
			continue
		}
		check := doctor.Upstream{Name: f.Subject, Registry: registry, Endpoint: e, Others: len(endpoints) > 1, Reserve: float64(c.QuotaReserve)}
		if e != nil {
			check.Name += " at " + e.String()
		} else if check.Endpoint, err = url.Parse(registry.Endpoints()[0]); err != nil {
			panic(err) // a URL was printed there
		}
		if image, ok := images[u.name]; ok {
			check.Image = &image
		}
		f.All = append(f.All, check.Check(ctx)...)
	}
	return f.All
}

// nameOf returns the host and port of an endpoint as in a listener's address.
func nameOf(u *url.URL) (host, port string) {
	port = u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return strings.ToLower(u.Hostname()), port
}
