package presign

import (
	"context"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/feature/cloudfront/sign"
	"github.com/aws/smithy-go/encoding/httpbinding"

	"github.com/entrepot-io/entrepot/backend"
)

// CDN presigns URLs of a CDN with the bucket as its origin.
type CDN struct {
	folder string // URL of the empty key
	host   string
	signer *sign.URLSigner // nil: URLs are not signed
}

// NewCDN returns a CDN with URLs below base, which may have a path. prefix is the store's path within the bucket. If key is
// nil, URLs are not signed.
func NewCDN(base *url.URL, prefix string, key *CDNKey) *CDN {
	folder := strings.TrimSuffix(base.String(), "/") + "/"
	if prefix != "" {
		folder += escape(prefix) + "/"
	}
	cdn := &CDN{folder: folder, host: base.Hostname()}
	if key != nil {
		cdn.signer = sign.NewURLSigner(key.ID, key.Private)
	}
	return cdn
}

// Signer returns the CDN itself, since its key does not change.
func (c *CDN) Signer(context.Context, time.Time) (backend.Signer, error) { return c, nil }

// Host returns the host of all URLs, without a port.
func (c *CDN) Host() string { return c.host }

// PresignGet returns the object's URL. Its canned policy admits everybody until it expires.
func (c *CDN) PresignGet(key string, signedAt time.Time, expires time.Duration) (string, time.Time, error) {
	if err := backend.CheckKey(key); err != nil {
		return "", time.Time{}, err
	}
	url, until := c.folder+escape(key), signedAt.Add(expires).Truncate(time.Second)
	if c.signer == nil {
		return url, until, nil
	}
	url, err := c.signer.Sign(url, until)
	return url, until, err
}

// escape escapes everything except letters, digits, slashes and -._~, like the bucket's own presigned URLs.
func escape(key string) string { return httpbinding.EscapePath(key, false) }
