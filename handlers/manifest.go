package handlers

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/entrepot-io/entrepot/mirror"
)

// manifest responds with a manifest by tag or digest. It redirects only if it cannot send the bytes: not all clients follow
// (moby#50065).
func (a *API) manifest(c echo.Context, outcome *outcome, reference string) error {
	ref, err := mirror.ParseReference(reference)
	switch {
	case err != nil && strings.Contains(reference, ":"):
		return fmt.Errorf("%w: %w", errDigest, err)
	case err != nil:
		return fmt.Errorf("%w: %w", errTag, err)
	}
	outcome.reference = reference
	find := a.Mirror.Manifest
	if a.wantsRevalidation(c) {
		find = a.Mirror.Revalidate
	}
	answer, err := find(c.Request().Context(), outcome.repo, ref)
	outcome.served = servedBody
	showFreshness(c, outcome, answer.Freshness)
	if err != nil {
		outcome.served = servedError
		return err
	}
	return a.sendManifest(c, outcome, answer.Manifest)
}

func (a *API) sendManifest(c echo.Context, outcome *outcome, manifest *mirror.Manifest) error {
	if tooLarge(c, int64(len(manifest.Body))) && c.Request().Method == http.MethodGet && !notModified(c.Request(), manifest.Digest) {
		return a.redirectManifest(c, outcome, manifest)
	}
	return a.send(c, content{
		digest:    manifest.Digest,
		mediaType: manifest.MediaType,
		size:      int64(len(manifest.Body)),
		inMemory:  true,
		open: func(_ context.Context, offset, length int64) (io.ReadCloser, error) {
			if length == 0 {
				length = int64(len(manifest.Body)) - offset
			}
			return io.NopCloser(bytes.NewReader(manifest.Body[offset : offset+length])), nil
		},
	})
}
