package backend

import (
	"errors"
	"fmt"
)

// PermissionError is an ErrDenied for valid credentials that lack a permission.
type PermissionError struct {
	Action   string // the missing permission, such as s3:PutObject
	Resource string // such as arn:aws:s3:::images/public/tags/x
	// Instead is another action on the bucket that may be the missing one, if there is no object at Resource; empty if
	// the store's response leaves no doubt.
	Instead string
}

func (e *PermissionError) Error() string {
	instead := ""
	if e.Instead != "" {
		instead = fmt.Sprintf(" (or %s on the bucket, if the object does not exist)", e.Instead)
	}
	return fmt.Sprintf("%v: %s is not permitted on %s%s", ErrDenied, e.Action, e.Resource, instead)
}

// Is reports whether target is ErrDenied.
func (e *PermissionError) Is(target error) bool { return target == ErrDenied }

// IsUnwritable reports whether a write failed for a reason that will not change soon: the store is full or read-only, or
// the credentials do not permit writes. Reads may still succeed.
func IsUnwritable(err error) bool {
	return errors.Is(err, ErrFull) || errors.Is(err, ErrReadOnly) || errors.Is(err, ErrDenied)
}
