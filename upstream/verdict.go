package upstream

import (
	"context"
	"errors"
	"net/http"
	"time"
)

// verdict says what an attempt shows about the endpoint.
type verdict int

const (
	fine      verdict = iota // it responded, if only that the content or the function does not exist
	overQuota                // its pull quota is used up
	throttled                // it gets too many requests
	failing                  // it reported a failure of its own
	noAnswer                 // it did not respond
	unclear                  // its response may be due to the request
	abandoned                // the caller left before the endpoint responded
)

// verdictOn returns the verdict on an attempt that failed with e. ctx is the caller's; resp is nil if there was no response.
func verdictOn(ctx context.Context, a *attempt, q request, resp *http.Response, e *Error) verdict {
	switch {
	case e.Status == 0 && e.answered:
		return fine
	case e.Status == 0 && gone(ctx, a):
		return abandoned
	case e.Status == 0:
		return noAnswer
	case e.Throttled():
		return throttleVerdict(q, resp)
	case isFailure(e.Status):
		return failing
	}
	return fine
}

// isFailure reports whether a status reports a failure of the server. Statuses such as 501 and 505 are about the request.
func isFailure(status int) bool {
	switch status {
	case http.StatusRequestTimeout, http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable,
		http.StatusGatewayTimeout:
		return true
	}
	return false
}

// isOdd reports whether the failure of an optional request may be due to the request, so that it says nothing about the
// endpoint.
func (v verdict) isOdd(e *Error) bool {
	switch v {
	case fine, failing:
		return e.Status != 0 && !isTokenRefusal(e)
	case noAnswer:
		return !e.unreached && !e.Timeout()
	}
	return false
}

func isTokenRefusal(e *Error) bool {
	refused := new(tokenRefusal)
	return errors.As(e.Err, &refused)
}

// gone reports whether the caller left, or gave the endpoint less time than the budget.
func gone(ctx context.Context, a *attempt) bool {
	if ctx.Err() == nil {
		return false
	}
	return !errors.Is(context.Cause(ctx), context.DeadlineExceeded) || time.Since(a.began) < a.health.budget
}
