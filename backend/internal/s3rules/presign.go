package s3rules

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/smithy-go/encoding/httpbinding"

	"github.com/entrepot-io/entrepot/backend"
)

// maxExpires is S3's limit for the validity of a URL.
const maxExpires = 7 * 24 * time.Hour

// Presigner presigns URLs with the bare signer of aws-sdk-go-v2: unlike the other ways of both SDKs it takes the time of
// signing as an argument, and it is the cheapest, since it caches the day's derived key.
type Presigner struct {
	folder      string // URL of the empty key
	host        string
	region      string
	credentials *Credentials
	v4          *v4.Signer
	last        atomic.Pointer[signer]
}

// NewPresigner returns a Presigner for the bucket at a URL that clients can reach. prefix is the path within the bucket:
// empty, or with a slash at its end.
func NewPresigner(bucket, prefix, region string, credentials *Credentials) (*Presigner, error) {
	u, err := url.Parse(bucket)
	if err != nil {
		return nil, err
	}
	if u.Host == "" || u.RawQuery != "" || (u.Scheme != "http" && u.Scheme != "https") {
		return nil, fmt.Errorf("invalid bucket URL %q: want http[s]://host/path", bucket)
	}
	return &Presigner{
		folder: strings.TrimSuffix(bucket, "/") + "/" + escape(prefix), host: u.Hostname(), region: region, credentials: credentials,
		// S3 escapes a path once, not twice as other services do.
		v4: v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true }),
	}, nil
}

// Host returns the host of all URLs, without a port.
func (p *Presigner) Host() string { return p.host }

// Signer returns a signer with the credentials for now.
func (p *Presigner) Signer(ctx context.Context, now time.Time) (backend.Signer, error) {
	c, err := p.credentials.get(ctx, now)
	if err != nil {
		return nil, fmt.Errorf("presign: %w", err)
	}
	for {
		last := p.last.Load()
		if last != nil && last.credential == c {
			return last, nil
		}
		p.last.CompareAndSwap(last, &signer{p, c})
	}
}

// signer is a Presigner with one set of credentials.
type signer struct {
	*Presigner
	credential *credential
}

// PresignGet returns a URL for a GET of the object, and the time when it expires.
func (s *signer) PresignGet(key string, signedAt time.Time, expires time.Duration) (string, time.Time, error) {
	if err := backend.CheckKey(key); err != nil {
		return "", time.Time{}, err
	}
	if expires < time.Second || expires > maxExpires {
		return "", time.Time{}, fmt.Errorf("presign %s: invalid validity %s: want 1s to %s", key, expires, maxExpires)
	}
	signedAt = signedAt.Truncate(time.Second)
	if s.credential.CanExpire {
		expires = min(expires, s.credential.Expires.Sub(signedAt))
	}
	expires = expires.Truncate(time.Second)
	if expires <= 0 {
		return "", time.Time{}, fmt.Errorf("presign %s: the credentials expired at %s", key, s.credential.Expires)
	}
	u, err := url.Parse(s.folder + escape(key))
	if err != nil {
		return "", time.Time{}, fmt.Errorf("presign %s: %w", key, err)
	}
	u.RawQuery = "X-Amz-Expires=" + strconv.FormatInt(int64(expires/time.Second), 10)
	// The context only carries a logger for the SDK.
	ctx := context.Background()
	req := (&http.Request{Method: http.MethodGet, URL: u, Host: u.Host, Header: http.Header{}}).WithContext(ctx)
	signed, _, err := s.v4.PresignHTTP(ctx, s.credential.Credentials, req, "UNSIGNED-PAYLOAD", "s3", s.region, signedAt)
	if err != nil {
		return "", time.Time{}, fmt.Errorf("presign %s: %w", key, err)
	}
	return signed, signedAt.Add(expires), nil
}

// escape escapes everything except letters, digits, slashes and -._~. This includes colons, which stores escape when they
// check the signature.
func escape(path string) string { return httpbinding.EscapePath(path, false) }
