package growing

import (
	"sync/atomic"
	"time"
)

// maxIdle is how long a fill may make no progress, though it waits for nothing that others have. Every call of the store
// and of the source has a shorter limit.
const maxIdle = time.Minute

// Activity records the progress of a fill, so that a leader that hangs gives its lease up to others.
type Activity struct {
	began    time.Time
	progress atomic.Int64 // nanoseconds after began
	waiting  atomic.Int64 // workers that wait for what others have
}

// NewActivity returns an activity that has just made progress.
func NewActivity() *Activity { return &Activity{began: time.Now()} }

// Progress records that something was done for the blob.
func (a *Activity) Progress() { a.progress.Store(int64(time.Since(a.began))) }

// Waits records that a worker waits for what others have: memory, a slot, or readers. Call the returned function after the
// wait.
func (a *Activity) Waits() func() {
	a.waiting.Add(1)
	return func() {
		a.Progress()
		a.waiting.Add(-1)
	}
}

// IsStuck reports whether nothing was done for too long.
func (a *Activity) IsStuck() bool {
	idle := time.Since(a.began) - time.Duration(a.progress.Load())
	return idle > maxIdle && a.waiting.Load() == 0
}

// Age returns the time since the activity began.
func (a *Activity) Age() time.Duration { return time.Since(a.began) }
