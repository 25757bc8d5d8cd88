package handlers

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/entrepot-io/entrepot/mirror"
)

// wantsRevalidation reports whether the client asks for revalidation, and Config allows it.
func (a *API) wantsRevalidation(c echo.Context) bool {
	return a.Revalidate && strings.Contains(c.Request().Header.Get("Cache-Control"), "no-cache")
}

// showFreshness reports a stale response to the client, the log and the metrics.
func showFreshness(c echo.Context, outcome *outcome, f mirror.Freshness) {
	if f.Stale == nil {
		return
	}
	outcome.served, outcome.err = servedStale, f.Stale
	h := c.Response().Header()
	h.Add("Warning", `110 - "Response is Stale"`) // RFC 7234 section 5.5.1
	if failed := new(mirror.UpstreamError); errors.As(f.Stale, &failed) && failed.NotFound() {
		h.Add("Warning", fmt.Sprintf("299 - %q", "deleted from "+failed.Registry))
	}
	h.Set("Age", strconv.Itoa(int(time.Since(f.Checked).Seconds())))
}
