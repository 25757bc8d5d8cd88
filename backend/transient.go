package backend

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
)

// Transient reports whether err is a failure of the store that may pass when the call is repeated:
//   - The store did not respond: the connection failed, or the request stalled (ErrLate) or exceeded its deadline.
//   - The body of a response broke off.
//   - The store responded with 408, 425, 429, with 5xx except 501, 505 and 507, or with an S3 code that asks for a retry.
//   - A file store met an I/O error, or ran out of file descriptors or memory.
//
// All other errors are final, including BodyError and errors after the caller canceled its context.
//
// A store marks an error by a method Transient() bool if these rules do not fit.
func Transient(err error) bool {
	if err == nil || errors.Is(err, context.Canceled) {
		return false
	}
	if marked, ok := errors.AsType[interface {
		error
		Transient() bool
	}](err); ok {
		return marked.Transient()
	}
	if status := statusOf(err); status != 0 {
		return TransientStatus(status)
	}
	if _, ok := errors.AsType[*net.OpError](err); ok {
		return true
	}
	return errors.Is(err, ErrLate) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, io.ErrUnexpectedEOF)
}

// Refused reports whether the store refused the request with a status of 4xx that is neither transient nor one of this
// package's errors. Since S3 has refusals that depend on an upload in progress, one repetition can help.
func Refused(err error) bool { return statusOf(err)/100 == 4 && !Transient(err) }

// statusOf returns the first HTTP status in the tree of err, or 0.
func statusOf(err error) int {
	answer, ok := errors.AsType[interface {
		error
		HTTPStatusCode() int
	}](err)
	if !ok {
		return 0
	}
	return answer.HTTPStatusCode()
}

// TransientStatus reports whether the same request may succeed after this HTTP status.
func TransientStatus(status int) bool {
	switch status {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests, 499: // nginx: client closed request
		return true
	case http.StatusNotImplemented, http.StatusHTTPVersionNotSupported, http.StatusInsufficientStorage,
		http.StatusLoopDetected, http.StatusNotExtended, http.StatusNetworkAuthenticationRequired:
		return false
	}
	return status >= 500
}

// BodyError is a failure of the reader passed to Put. It says nothing about the store.
type BodyError struct{ Err error }

func (e *BodyError) Error() string { return fmt.Sprintf("body: %v", e.Err) }

func (e *BodyError) Unwrap() error { return e.Err }

// Transient returns false, even if Err is transient.
func (e *BodyError) Transient() bool { return false }
