package presign

import (
	"hash/fnv"
	"io"
	"time"
)

// windows decides when URLs are signed. The times follow from the key and the clock alone, so that during one window all
// replicas return the same URL for an object. Each key has different times. Otherwise all URLs would change at the same time, and
// miss in every cache in front of the bucket.
type windows struct{ seconds int64 }

// newWindows returns windows of such a length that a URL valid for expiry from the beginning of a window is still valid for
// minLeft at its end. S3 counts in whole seconds.
func newWindows(expiry, minLeft time.Duration) windows {
	left := (minLeft + time.Second - 1) / time.Second
	return windows{max(1, int64(expiry/time.Second-left))}
}

// at returns the window that contains now.
func (w windows) at(key string, now time.Time) (begin, end time.Time) {
	h := fnv.New64a()
	_, _ = io.WriteString(h, key) // never fails
	offset := int64(h.Sum64() % uint64(w.seconds))
	since := now.Unix() - offset
	into := (since%w.seconds + w.seconds) % w.seconds
	begin = time.Unix(since-into+offset, 0)
	return begin, begin.Add(time.Duration(w.seconds) * time.Second)
}
