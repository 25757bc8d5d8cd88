package handlers

import (
	"fmt"
	"net/http"

	"github.com/labstack/echo/v4"
	"github.com/opencontainers/go-digest"

	"github.com/entrepot-io/entrepot/mirror"
)

const blobType = "application/octet-stream"

// blob responds with a redirect to the bucket if the blob is stored and the client can follow, and otherwise with its
// bytes. The bytes of a fill are sent as they arrive, unless the client is to wait for the redirect.
func (a *API) blob(c echo.Context, outcome *outcome, reference string) error {
	d, err := mirror.ParseDigest(reference)
	if err != nil {
		return fmt.Errorf("%w: %w", errDigest, err)
	}
	outcome.reference = reference
	if manifest := a.Mirror.CachedManifest(c.Request().Context(), outcome.repo, d); manifest != nil {
		outcome.served = servedBody
		return a.sendManifest(c, outcome, manifest)
	}
	_, limited := bodyLimit(c)
	if c.Request().Method == http.MethodHead || limited && notModified(c.Request(), d) {
		return a.headBlob(c, outcome, d)
	}
	if a.Miss == MissRedirect && a.follows(c) && !notModified(c.Request(), d) {
		return a.await(c, outcome, d)
	}
	if limited {
		return errNoBytes
	}
	blob, err := a.Mirror.Blob(c.Request().Context(), outcome.repo, d)
	if err != nil {
		return err
	}
	key, stored := blob.StoredAt()
	if stored && a.follows(c) && !notModified(c.Request(), d) {
		return a.redirect(c, outcome, d, key)
	}
	return a.sendBlob(c, outcome, blob)
}

// sendBlob responds with a blob's bytes.
func (a *API) sendBlob(c echo.Context, outcome *outcome, blob *mirror.Blob) error {
	_, stored := blob.StoredAt()
	outcome.served = servedFill
	if stored {
		outcome.served = servedBody
	}
	return a.send(c, content{digest: blob.Digest, mediaType: blobType, size: blob.Size, filling: !stored, open: blob.Open})
}

// headBlob responds without a redirect: a URL signed for GET is not valid for HEAD.
func (a *API) headBlob(c echo.Context, outcome *outcome, d digest.Digest) error {
	size, err := a.Mirror.StatBlob(c.Request().Context(), outcome.repo, d)
	if err != nil {
		return err
	}
	outcome.served = servedBody
	return a.send(c, content{digest: d, mediaType: blobType, size: size})
}

func (a *API) redirect(c echo.Context, outcome *outcome, d digest.Digest, key string) error {
	url, err := a.URLs.Get(c.Request().Context(), key)
	if err != nil {
		return err
	}
	outcome.served = servedRedirect
	setIdentity(c.Response().Header(), d)
	return c.Redirect(http.StatusTemporaryRedirect, url)
}
