// Package presign provides the URLs at which clients fetch blobs from the bucket, or from a CDN in front of it.
//
// It decides when URLs are signed and how long they are reused, and it signs URLs of a CDN. The store signs URLs of the
// bucket and knows its public endpoint. The caller decides which clients get URLs.
package presign

import (
	"context"
	"fmt"
	"time"

	"github.com/maypok86/otter/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"golang.org/x/sync/singleflight"

	"github.com/entrepot-io/entrepot/backend"
)

// maxURLs limits the cache. A URL takes 0.5 KB, or up to 2 KB with the session token of temporary credentials.
const maxURLs = 10_000

// Config configures URLs.
type Config struct {
	// Expiry is how long a URL is valid from its signing time, at most 7 days. MinLeft is how long it is valid at least when a
	// client gets it; it must be a second or more less than Expiry. URLs expire earlier if the credentials do.
	Expiry, MinLeft time.Duration
	CDN             *CDN                  // used instead of the bucket; nil: none
	Now             func() time.Time      // nil: time.Now
	Metrics         prometheus.Registerer // nil: none
}

// URLs returns URLs for the objects of one store. It can be used concurrently.
type URLs struct {
	presigner  backend.Presigner
	expiry     time.Duration
	windows    windows
	now        func() time.Time
	cache      *otter.Cache[string, signed] // by key
	flights    singleflight.Group
	signatures prometheus.Counter
}

// signed is a URL with the conditions for its use.
type signed struct {
	url          string
	by           backend.Signer // other credentials need another URL
	from, before int64          // in nanoseconds since 1970
}

// New returns the URLs of a store or its CDN. It returns nil if the store cannot presign and there is no CDN.
func New(store backend.Store, c Config) *URLs {
	presigner, ok := store.(backend.Presigner)
	if c.CDN != nil {
		presigner, ok = c.CDN, true
	}
	if !ok {
		return nil
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return &URLs{
		presigner: presigner,
		expiry:    c.Expiry,
		windows:   newWindows(c.Expiry, c.MinLeft),
		now:       c.Now,
		cache:     otter.Must(&otter.Options[string, signed]{MaximumSize: maxURLs}),
		signatures: promauto.With(c.Metrics).NewCounter(prometheus.CounterOpts{
			Name: "entrepot_presign_signatures_total", Help: "URLs signed for clients, rather than found in memory.",
		}),
	}
}

// Host returns the host of all URLs, without a port.
func (u *URLs) Host() string { return u.presigner.Host() }

// Get returns a URL for a GET of the object at key.
func (u *URLs) Get(ctx context.Context, key string) (string, error) {
	now := u.now()
	signer, err := u.presigner.Signer(ctx, now)
	if err != nil {
		return "", fmt.Errorf("presign %s: %w", key, err)
	}
	if s, ok := u.cache.GetIfPresent(key); ok && s.good(signer, now) {
		return s.url, nil
	}
	url, err, _ := u.flights.Do(key, func() (any, error) { return u.sign(signer, key, now) })
	if err != nil {
		return "", fmt.Errorf("presign %s: %w", key, err)
	}
	return url.(string), nil
}

func (u *URLs) sign(signer backend.Signer, key string, now time.Time) (string, error) {
	if s, ok := u.cache.GetIfPresent(key); ok && s.good(signer, now) {
		return s.url, nil // signed by the previous flight
	}
	begin, end := u.windows.at(key, now)
	url, until, err := signer.PresignGet(key, begin, u.expiry)
	if err != nil {
		return "", err
	}
	u.signatures.Inc()
	if until.Before(end) {
		end = until
	}
	if !now.Before(end) {
		return "", fmt.Errorf("the credentials expired at %s", until)
	}
	u.cache.Set(key, signed{url, signer, begin.UnixNano(), end.UnixNano()})
	return url, nil
}

func (s signed) good(signer backend.Signer, now time.Time) bool {
	at := now.UnixNano()
	return s.by == signer && s.from <= at && at < s.before
}
