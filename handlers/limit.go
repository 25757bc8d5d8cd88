package handlers

import (
	"context"
	"errors"
	"fmt"

	"github.com/labstack/echo/v4"

	"github.com/entrepot-io/entrepot/mirror"
)

type limitKey struct{}

// LimitBody limits the response body of a request in bytes, for platforms that reject larger ones. Blobs are then never
// sent, whatever their size: clients that cannot be redirected get an error.
func LimitBody(ctx context.Context, bytes int64) context.Context {
	return context.WithValue(ctx, limitKey{}, bytes)
}

// bodyLimit returns the limit set by LimitBody.
func bodyLimit(c echo.Context) (bytes int64, limited bool) {
	bytes, limited = c.Request().Context().Value(limitKey{}).(int64)
	return bytes, limited
}

// tooLarge reports whether a body of some size exceeds the limit.
func tooLarge(c echo.Context, bytes int64) bool {
	limit, limited := bodyLimit(c)
	return limited && bytes > limit
}

var (
	errNoBytes  = errors.New("this server serves blobs only by redirect to the bucket, and does not redirect this client (ENTREPOT_REDIRECT, ENTREPOT_STREAM_TO; docs/clients.md)")
	errTooLarge = errors.New("response too large for this platform")
)

// redirectManifest redirects a client to the bucket for a manifest that is too large for a response. The object has the
// manifest's media type. It is the last resort, since not all clients follow (moby#50065).
func (a *API) redirectManifest(c echo.Context, outcome *outcome, manifest *mirror.Manifest) error {
	key, stored := manifest.StoredAt()
	if !stored || !a.follows(c) {
		return fmt.Errorf("%w: a manifest of %d bytes", errTooLarge, len(manifest.Body))
	}
	return a.redirect(c, outcome, manifest.Digest, key)
}
