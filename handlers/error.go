package handlers

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/entrepot-io/entrepot/mirror"
)

// Errors of requests that never reach the mirror.
var (
	errUnsupported = errors.New("this mirror supports pull only, not push")
	errDigest      = errors.New("invalid digest")
	errTag         = errors.New("invalid tag")
)

// problem is an error in the client's terms.
type problem struct {
	status     int
	code       string // distribution spec, "Error Codes"; UNAVAILABLE is distribution's own
	message    string
	retryAfter time.Duration
}

// explain maps errors to OCI codes and statuses. No other code does.
func explain(asked kind, err error) problem {
	upstream := new(mirror.UpstreamError)
	p := problem{message: err.Error()}
	switch {
	case errors.Is(err, errUnsupported):
		p.status, p.code = http.StatusMethodNotAllowed, "UNSUPPORTED"
	case errors.Is(err, errNoBytes):
		p.status, p.code = http.StatusForbidden, "DENIED"
	case errors.Is(err, errTooLarge):
		p.status, p.code = http.StatusNotImplemented, "UNSUPPORTED"
	case errors.Is(err, errNoRoute):
		p.status, p.code = http.StatusNotFound, "UNSUPPORTED"
	case errors.Is(err, errDigest):
		p.status, p.code = http.StatusBadRequest, "DIGEST_INVALID"
	case errors.Is(err, errTag):
		p.status, p.code = http.StatusNotFound, "MANIFEST_UNKNOWN" // no such tag can exist
	case errors.Is(err, mirror.ErrPage):
		p.status, p.code = http.StatusBadRequest, "PAGINATION_NUMBER_INVALID"
	case errors.Is(err, mirror.ErrName):
		p.status, p.code = http.StatusBadRequest, "NAME_INVALID"
	case errors.Is(err, mirror.ErrNotMirrored):
		p.status, p.code = http.StatusNotFound, "NAME_UNKNOWN"
	case errors.Is(err, mirror.ErrBusy), errors.Is(err, mirror.ErrNoMemory):
		p.status, p.code, p.retryAfter = http.StatusServiceUnavailable, "UNAVAILABLE", comeBack
	case errors.Is(err, mirror.ErrTooLarge):
		p.status, p.code = http.StatusNotImplemented, "UNSUPPORTED"
	case errors.As(err, &upstream):
		return explainUpstream(asked, upstream, err)
	case errors.Is(err, context.DeadlineExceeded):
		p.status, p.code = http.StatusGatewayTimeout, "UNAVAILABLE"
	case errors.Is(err, errFilling):
		p.status, p.code, p.retryAfter = http.StatusServiceUnavailable, "UNAVAILABLE", comeBack
	case errors.Is(err, mirror.ErrBadBlob):
		p.status, p.code = http.StatusBadGateway, "UNAVAILABLE"
	default:
		p.status, p.code = http.StatusServiceUnavailable, "UNAVAILABLE"
	}
	return p
}

func explainUpstream(asked kind, upstream *mirror.UpstreamError, err error) problem {
	p := problem{code: "UNAVAILABLE", message: err.Error(), retryAfter: upstream.RetryAfter}
	switch {
	case upstream.Throttled():
		p.status, p.code = http.StatusTooManyRequests, "TOOMANYREQUESTS"
	case upstream.NotFound():
		p.status, p.code = http.StatusNotFound, unknown(asked)
		if upstream.Code == "NAME_UNKNOWN" {
			p.code = upstream.Code
		}
	case asked == kindTags && upstream.Status == http.StatusBadRequest:
		// The upstream gets the client's query: n or last is wrong.
		p.status, p.code = http.StatusBadRequest, "PAGINATION_NUMBER_INVALID"
	case upstream.Denied():
		// Not 401: the client has no credential to present to the mirror.
		p.status, p.code = http.StatusForbidden, "DENIED"
		p.message += " (the repository does not exist, or the mirror has no credential for it)"
	case upstream.Timeout() || errors.Is(err, context.DeadlineExceeded):
		p.status = http.StatusGatewayTimeout
	default:
		p.status = http.StatusBadGateway
	}
	return p
}

func unknown(asked kind) string {
	switch asked {
	case kindManifest, kindReferrers:
		return "MANIFEST_UNKNOWN"
	case kindBlob:
		return "BLOB_UNKNOWN"
	}
	return "NAME_UNKNOWN"
}

// fail responds with the error JSON of the distribution spec. Once a response has begun, it aborts the response, so that no
// client takes it for complete.
func (a *API) fail(c echo.Context, outcome *outcome, err error) error {
	if c.Response().Committed {
		panic(http.ErrAbortHandler)
	}
	p := explain(outcome.kind, err)
	h := c.Response().Header()
	if p.status == http.StatusMethodNotAllowed {
		h.Set("Allow", "GET, HEAD")
	}
	if p.retryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(int(math.Ceil(p.retryAfter.Seconds()))))
	}
	return writeProblem(c, p)
}

func writeProblem(c echo.Context, p problem) error {
	type diagnostic struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	}
	c.Response().Header().Set("Content-Type", "application/json") // replaces the type of the content that failed
	return c.JSON(p.status, map[string][]diagnostic{"errors": {{p.code, p.message}}})
}

// routingError responds if the router found no handler.
func (a *API) routingError(err error, c echo.Context) {
	if c.Response().Committed {
		return
	}
	p := problem{status: http.StatusNotFound, code: "UNSUPPORTED", message: "no such endpoint; the registry's API is under /v2/"}
	if routing := new(echo.HTTPError); errors.As(err, &routing) {
		p.status, p.message = routing.Code, fmt.Sprint(routing.Message)
	}
	if err := writeProblem(c, p); err != nil {
		a.Log.Debug("error not delivered", "error", err)
	}
}
