package upstream

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/entrepot-io/entrepot/bounded"
)

// Error is an upstream's response other than the requested content, or the failure to get one.
type Error struct {
	Registry   string        // the upstream's name, such as docker.io
	Endpoint   string        // the URL of the endpoint
	Status     int           // HTTP status; 0 if there was no response
	Code       string        // OCI error code, if any; printable, at most 100 bytes
	Message    string        // from the upstream; printable, at most 500 bytes
	RetryAfter time.Duration // from Retry-After, or until held-back requests resume; 0 if unknown
	Err        error         // why there was no usable response

	held bool // the request was held back; this is the last failure
	// answered is set if the endpoint or its token service responded, even if there is no status.
	answered bool
	// unreached is set if no connection to the endpoint was possible.
	unreached bool
}

func (e *Error) Error() string {
	what := e.Message
	switch {
	case e.Err != nil:
		what = e.Err.Error()
	case what == "":
		what = http.StatusText(e.Status)
	}
	if e.held {
		what += fmt.Sprintf(" (requests resume in %s)", e.RetryAfter.Round(time.Second))
	}
	if e.Status != 0 {
		return fmt.Sprintf("upstream %s (%s) answered %d: %s", e.Registry, e.Endpoint, e.Status, what)
	}
	return fmt.Sprintf("upstream %s (%s): %s", e.Registry, e.Endpoint, what)
}

func (e *Error) Unwrap() error { return e.Err }

// NotFound reports whether the upstream does not have the content.
func (e *Error) NotFound() bool { return e.Status == http.StatusNotFound }

// Denied reports whether the upstream denies access, as Docker Hub does for repositories that do not exist.
func (e *Error) Denied() bool {
	return e.Status == http.StatusUnauthorized || e.Status == http.StatusForbidden
}

// Timeout reports whether the upstream did not respond in time, or its response stalled.
func (e *Error) Timeout() bool {
	var timeout net.Error
	return errors.Is(e.Err, context.DeadlineExceeded) || errors.Is(e.Err, errIdle) || errors.Is(e.Err, errSlow) || (errors.As(e.Err, &timeout) && timeout.Timeout())
}

// maxCode limits an error code in bytes.
const maxCode = 100

// maxErrorBody limits in bytes how much of an error's body is read.
const maxErrorBody = 64 << 10

// answerError returns the Error for an unexpected response, and closes its body.
func answerError(resp *http.Response) *Error {
	defer resp.Body.Close()
	e := &Error{Status: resp.StatusCode, RetryAfter: retryAfter(resp.Header)}
	// An unreadable body adds nothing to the status.
	body, err := bounded.Unlimited().Read(context.Background(), resp.Body, -1, maxErrorBody) // never waits for memory
	if err != nil {
		return e
	}
	document, err := bounded.Parse(body)
	if err != nil {
		return e
	}
	_ = document.Fields(func(name string, value bounded.JSON) error {
		if name != "errors" {
			return nil
		}
		return value.Elements(func(first bounded.JSON) error {
			e.Code, e.Message = words(first)
			return bounded.ErrEnough
		})
	})
	return e
}

// words returns the code and the message of an upstream's error.
func words(object bounded.JSON) (code, message string) {
	_ = object.Fields(func(name string, value bounded.JSON) error { // fails if it is not an object, which then has neither
		switch text, _ := value.Text(maxErrorBody); strings.ToLower(name) {
		case "code":
			code = strings.Clone(printable(text, maxCode)) // a substring would keep the whole body in memory
		case "message":
			message = strings.Clone(printable(text, maxWords))
		}
		return nil
	})
	return code, message
}

// noAnswerError returns the Error for the failure to get a response. If a token service refused, its status counts as the
// upstream's.
func noAnswerError(err error) *Error {
	// url.Error repeats the URL, which may be a signed one.
	if wrapped := new(url.Error); errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	// The context that package net adds is redundant.
	if forbidden := new(forbiddenError); errors.As(err, &forbidden) {
		err = forbidden
	}
	e := &Error{Err: brief(err), answered: isAnswer(err), unreached: isUnreached(err)}
	if refused := new(tokenRefusal); errors.As(err, &refused) {
		e.Status, e.RetryAfter = refused.upstreamStatus(), refused.retryAfter
	}
	return e
}

// unusableError is the reason not to use a response.
type unusableError struct{ text string }

func (e *unusableError) Error() string { return e.text }

func unusable(format string, args ...any) error { return &unusableError{fmt.Sprintf(format, args...)} }

// isAnswer reports whether an error is about a response and not about the lack of one.
func isAnswer(err error) bool {
	var (
		useless   *unusableError
		forbidden *forbiddenError
		refused   *tokenRefusal
	)
	return errors.As(err, &useless) || errors.As(err, &forbidden) || errors.As(err, &refused) || errors.Is(err, ErrBadContent)
}

// isUnreached reports whether an error is about connecting and not about the request.
func isUnreached(err error) bool {
	var (
		dial *net.OpError
		ping *pingError
		name *net.DNSError
	)
	return errors.As(err, &ping) || errors.As(err, &name) || errors.As(err, &dial) && dial.Op == "dial"
}
