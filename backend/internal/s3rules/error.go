package s3rules

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/entrepot-io/entrepot/backend"
)

// Failure is a store's refusal.
type Failure struct {
	Status int    // HTTP; 0: there was no answer
	Code   string // S3's; empty or made up by the library where the answer had no body, as that to HEAD
	// Message is the store's explanation, in its own words.
	Message string
	// Bucket and Prefix, which is empty or ends with a slash, are where the keys of the store are.
	Bucket, Prefix string
	Denials        *Denials // where it is noted; nil: nowhere
}

// Wrap adds to err what was being done, and the error of package backend that callers decide by, if one fits.
func (f Failure) Wrap(op, key string, err error) error {
	missing := f.missing(op, key)
	if missing != nil {
		err = fmt.Errorf("%w: %w", missing, err)
	} else if known := f.known(); known != nil {
		err = fmt.Errorf("%w: %w", known, err)
	}
	err = fmt.Errorf("%s %s: %w", op, key, err)
	if missing != nil {
		f.Denials.note(err)
	}
	if f.Status != 0 {
		err = answered{err}
	}
	return err
}

// answered is an error after which no request is under way on the store's side.
type answered struct{ error }

func (a answered) Unwrap() error { return a.error }

// WrapWrite is Wrap for the call of a write that carries its condition.
func (f Failure) WrapWrite(op, key string, c backend.Condition, err error) error {
	// A write over a version that is gone is answered as a missing key.
	if c.IfMatch != "" && f.known() == backend.ErrNotFound {
		f = Failure{Status: http.StatusPreconditionFailed}
	}
	return f.Wrap(op, key, err)
}

// WrapCopy is Wrap for the copy of an object into a part, which some servers do not have.
func (f Failure) WrapCopy(key string, err error) error {
	switch f.Status {
	case http.StatusBadRequest, http.StatusMethodNotAllowed, http.StatusNotImplemented:
		if f.known() == nil && f.Code != "RequestTimeout" {
			err = fmt.Errorf("%w: %w", backend.ErrUnable, err)
		}
	}
	return f.Wrap("copy", key, err)
}

// ErrNotCopied is that of a server which takes a copy into a part for the upload of an empty one: its answer has no body.
var ErrNotCopied = fmt.Errorf("%w: it has answered a copy as if it were an upload", backend.ErrUnable)

func (f Failure) known() error {
	switch f.Code {
	case "NoSuchBucket":
		return backend.ErrNoBucket
	case "NoSuchKey":
		return backend.ErrNotFound
	case "NoSuchUpload":
		return nil // 404, but it says nothing of the object
	case "XAmzContentSHA256Mismatch", "BadDigest":
		return backend.ErrChecksum
	case "ConditionalRequestConflict": // 409: another conditional write won while this one was under way
		return backend.ErrPrecondition
	case "InvalidAccessKeyId", "InvalidToken", "ExpiredToken", "TokenRefreshRequired", // some are 400
		"XAdminUserNotFound": // versitygw's 404 for an unknown access key
		return backend.ErrDenied
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

// Prefix returns a configured prefix in the form that stands before a key: empty, or with a slash at its end.
func Prefix(prefix string) (string, error) {
	prefix = strings.Trim(prefix, "/")
	if prefix == "" {
		return "", nil
	}
	// 1024 bytes are S3's limit for the whole.
	if err := backend.CheckKey(prefix); err != nil || len(prefix) > 100 {
		return "", fmt.Errorf("prefix %q: not a path of at most 100 bytes", prefix)
	}
	return prefix + "/", nil
}
