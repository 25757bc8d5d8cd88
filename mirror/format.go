package mirror

import (
	"errors"
	"fmt"
	"time"

	"github.com/entrepot-io/entrepot/backend"
)

const (
	// recordFormat is the version of the format in which this release writes records. It reads all earlier ones.
	recordFormat = 1
	// newerLife is how long after its last write a record of a newer format is not replaced. Replicas of a newer release may
	// still use it, unless they have been rolled back.
	newerLife = time.Hour
)

// errNewer means that an answer was not recorded, since a newer release maintains the record.
var errNewer = errors.New("the bucket has a record of a newer release")

// newerError means that a record has a format that this release does not know. It is a backend.ErrNotFound.
type newerError struct {
	format  int
	written time.Time // by this process's clock
}

func (e *newerError) Error() string {
	return fmt.Sprintf("record has format %d, known up to %d: %v", e.format, recordFormat, backend.ErrNotFound)
}

func (e *newerError) Unwrap() error { return backend.ErrNotFound }

// replaceAfter returns when a record may be replaced that was loaded with this error. Zero: at once.
func replaceAfter(err error) time.Time {
	newer := new(newerError)
	if !errors.As(err, &newer) {
		return time.Time{}
	}
	return newer.written.Add(newerLife)
}

// keepBeside keeps the copy in memory, if there is one, beside a newer release's record in the bucket.
func (k *records[V, A]) keepBeside(key string, version backend.ETag, newer *newerError) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if copied, ok := k.copies.GetIfPresent(key); ok {
		kept := *copied
		kept.version, kept.replaced, kept.unstored, kept.seen, kept.replaceAfter = version, "", true, k.m.Now(), replaceAfter(newer)
		k.copies.Set(key, &kept)
	}
}
