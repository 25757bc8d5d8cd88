package growing

import (
	"errors"
	"fmt"
)

var (
	// ErrBadBlob is wrapped if the bytes that arrived are not the blob: wrong, too few or too many.
	ErrBadBlob = errors.New("not the requested blob")
	// ErrTooLarge is wrapped if a blob needs more memory than is configured.
	ErrTooLarge = errors.New("the blob is too large for this configuration")
	// ErrUnstored is wrapped if a blob passes through without being stored. Its bytes can be read all the same.
	ErrUnstored = errors.New("the blob passes through and is not stored")
	// ErrHandedOver is wrapped if a fill was left, in the bucket, to the next one of the same blob, here or on another
	// replica.
	ErrHandedOver = errors.New("the blob is on its way, and the next request for it continues the fill")
	// ErrGone is wrapped if segments are gone that readers have read.
	ErrGone = errors.New("the replica that was filling it gave up")
	// ErrUnread is the cause that ends the transfer of a blob that passes through when it has no readers.
	ErrUnread = fmt.Errorf("%w, and nobody reads it", ErrUnstored)
	// ErrBehind is returned if the readers are so far behind that the transfer should give up its slot.
	ErrBehind = errors.New("readers are behind")
)
