package handlers

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"

	"github.com/labstack/echo/v4"

	"github.com/entrepot-io/entrepot/bounded"
	"github.com/entrepot-io/entrepot/mirror"
)

// tags responds with a page of a repository's tags. Distribution spec, "Listing Tags".
func (a *API) tags(c echo.Context, outcome *outcome) error {
	list, err := a.Mirror.Tags(c.Request().Context(), outcome.repo, a.listQuery(c))
	return a.sendList(c, outcome, list, err, "application/json")
}

// referrers responds with the manifests that refer to a digest. Distribution spec, "Listing Referrers".
func (a *API) referrers(c echo.Context, outcome *outcome, reference string) error {
	d, err := mirror.ParseDigest(reference)
	if err != nil {
		return fmt.Errorf("%w: %w", errDigest, err)
	}
	outcome.reference = reference
	list, err := a.Mirror.Referrers(c.Request().Context(), outcome.repo, d, a.listQuery(c))
	if err == nil && list.Filtered {
		c.Response().Header().Set("OCI-Filters-Applied", "artifactType")
	}
	return a.sendList(c, outcome, list, err, "application/vnd.oci.image.index.v1+json")
}

// listQuery returns the client's query for a list, without the mirror's own parameters.
func (a *API) listQuery(c echo.Context) mirror.ListQuery {
	q := mirror.ListQuery{URL: c.Request().URL.Query(), Revalidate: a.wantsRevalidation(c)}
	q.URL.Del("ns")
	if limit, limited := bodyLimit(c); limited {
		q.Limit = limit
	}
	return q
}

func (a *API) sendList(c echo.Context, outcome *outcome, list mirror.List, err error, mediaType string) error {
	if err == nil && tooLarge(c, list.Body.Size) {
		err = fmt.Errorf("%w: a list of %d bytes; request fewer entries with n", errTooLarge, list.Body.Size)
	}
	outcome.served = servedBody
	showFreshness(c, outcome, list.Freshness)
	if err != nil {
		outcome.served = servedError
		return err
	}
	if list.Next != nil {
		if ns := c.QueryParam("ns"); ns != "" {
			list.Next.Set("ns", ns)
		}
		next := url.URL{Path: c.Request().URL.Path, RawQuery: list.Next.Encode()}
		c.Response().Header().Set("Link", fmt.Sprintf(`<%s>; rel="next"`, next.String()))
	}
	if list.MediaType != "" {
		mediaType = list.MediaType
	}
	w := c.Response()
	w.Header().Set("Content-Type", mediaType)
	w.Header().Set("Content-Length", strconv.FormatInt(list.Body.Size, 10))
	w.WriteHeader(http.StatusOK)
	if c.Request().Method == http.MethodHead {
		return nil
	}
	write := func(to io.Writer) (n int64, err error) {
		for piece := range list.Body.Pieces {
			written, err := to.Write(piece)
			if n += int64(written); err != nil {
				return n, err
			}
		}
		return n, nil
	}
	if list.Body.Size <= bounded.Small {
		_, err = write(w)
		return err
	}
	n, err := a.watched(w.Writer, write)
	w.Size += n
	return err
}
