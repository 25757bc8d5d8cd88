package s3rules

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/entrepot-io/entrepot/backend"
)

// Failure is a failed request to a store.
type Failure struct {
	Status int    // HTTP; 0: no response
	Code   string // of S3; empty or made up by the SDK if the response has no body, as for HEAD
	// Message is the store's explanation.
	Message string
	// Bucket and Prefix locate the store's keys. Prefix is empty or ends with a slash.
	Bucket, Prefix string
	Denials        *Denials // records denied requests; nil: none
}

// Wrap adds to err the operation, the key, and the matching error of package backend, if any.
func (f Failure) Wrap(op, key string, err error) error {
	attempts := f.attempts(op, err)
	if f.Code != "" && !strings.Contains(err.Error(), f.Code) { // minio-go omits it
		err = fmt.Errorf("status %d, %s: %w", f.Status, f.Code, err)
	}
	missing, known := f.missing(op, key), f.known(op)
	if missing != nil {
		known = missing
	}
	transient := known == nil && (attempts != final || f.Status == 0 && mayPass(err))
	if known != nil {
		err = fmt.Errorf("%w: %w", known, err)
	}
	err = fmt.Errorf("%s %s: %w", op, key, err)
	if missing != nil {
		f.Denials.record(err)
	}
	if f.Status != 0 {
		a := responded{error: err}
		if known == nil && !errors.Is(err, backend.ErrUnable) {
			a.refusal = f.Status
		}
		err = a
	}
	if attempts != final {
		err = retryable{err, attempts}
	}
	return marked{err, transient}
}

// marked is an error with a mark for backend.Transient.
type marked struct {
	error
	transient bool
}

func (m marked) Unwrap() error { return m.error }

// Transient returns the mark.
func (m marked) Transient() bool { return m.transient }

// responded is an error after which no request is in progress at the store.
type responded struct {
	error
	refusal int // HTTP status of a refusal without an error in package backend; otherwise 0
}

func (r responded) Unwrap() error { return r.error }

// HTTPStatusCode returns the status for backend.Refused.
func (r responded) HTTPStatusCode() int { return r.refusal }

// WrapWrite is Wrap for the request of a write that carries its condition.
func (f Failure) WrapWrite(op, key string, c backend.Condition, err error) error {
	// Stores respond with a missing key if the version to overwrite is gone.
	if c.IfMatch != "" && f.known(op) == backend.ErrNotFound {
		f = Failure{Status: http.StatusPreconditionFailed}
	}
	if c != (backend.Condition{}) && f.refusesCondition(op) {
		err = fmt.Errorf("%w: %w", backend.ErrUnable, err)
	}
	return f.Wrap(op, key, err)
}

// refusesCondition reports whether the store seems to refuse conditions as such: the refusal of a conditional write is final
// and has no other known reason. S3's code is NotImplemented; others call the header an invalid argument or request.
func (f Failure) refusesCondition(op string) bool {
	switch f.Code {
	case "RequestTimeout", "IncompleteBody", // 400: not all bytes arrived
		"InvalidPart", "InvalidPartOrder", "EntityTooSmall": // 400: a part is wrong
		return false
	}
	switch f.Status {
	case http.StatusBadRequest, http.StatusMethodNotAllowed, http.StatusLengthRequired, http.StatusUnsupportedMediaType,
		http.StatusExpectationFailed, http.StatusUnprocessableEntity, http.StatusPreconditionRequired, http.StatusNotImplemented:
		known := f.known(op)
		return known == nil || known == backend.ErrReadOnly && f.Status == http.StatusMethodNotAllowed // 405 can mean either
	}
	return false
}

// WrapCopy is Wrap for the copy of an object into a part. Some servers lack it and refuse it in many ways (400, 405, 411,
// 422, 501), so a refusal without another known reason becomes backend.ErrUnable.
func (f Failure) WrapCopy(key string, err error) error {
	const op = "copy"
	refused := f.Status >= 400 && f.Status < 500 && f.Status != http.StatusNotFound || f.Status == http.StatusNotImplemented ||
		f.Code == "NotImplemented"
	if refused && f.known(op) == nil && f.attempts(op, err) == final {
		err = fmt.Errorf("%w: %w", backend.ErrUnable, err)
	}
	return f.Wrap(op, key, err)
}

// ErrNotCopied is the error of a server that mistakes a copy into a part for the upload of an empty part. Its response has
// no body.
var ErrNotCopied = fmt.Errorf("%w: the server treated a copy as an upload", backend.ErrUnable)

// known returns the error of package backend that the failure of op stands for, or nil.
func (f Failure) known(op string) error {
	switch f.Code {
	case "NoSuchBucket":
		return backend.ErrNoBucket
	case "NoSuchKey":
		return backend.ErrNotFound
	case "NoSuchUpload":
		return nil // 404, but about the upload
	case "XAmzContentSHA256Mismatch", "BadDigest":
		return backend.ErrChecksum
	case "ConditionalRequestConflict": // 409: another write to the key was in progress
		return backend.ErrConflict
	case "InvalidAccessKeyId", "InvalidToken", "ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired", // some are 400
		"RequestExpired",
		"XAdminUserNotFound": // versitygw's 404 for an unknown access key
		return backend.ErrDenied
	}
	switch {
	case f.full():
		return backend.ErrFull
	case f.readOnly(op):
		return backend.ErrReadOnly
	}
	switch f.Status {
	case http.StatusNotFound:
		return backend.ErrNotFound
	case http.StatusPreconditionFailed:
		return backend.ErrPrecondition
	case http.StatusRequestedRangeNotSatisfiable:
		return backend.ErrRange
	case http.StatusUnauthorized, http.StatusForbidden:
		return backend.ErrDenied
	}
	return nil
}

// Prefix returns a configured prefix in the form to put before keys: empty, or with a slash at the end.
func Prefix(prefix string) (string, error) {
	prefix = strings.Trim(prefix, "/")
	if prefix == "" {
		return "", nil
	}
	// S3 limits prefix and key together to 1024 bytes.
	if err := backend.CheckKey(prefix); err != nil || len(prefix) > 100 {
		return "", fmt.Errorf("invalid prefix %q: want a path of at most 100 bytes", prefix)
	}
	return prefix + "/", nil
}
