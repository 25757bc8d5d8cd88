// Package patient calls an object store that may be away for some seconds, as during a restart, or that hangs.
package patient

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/entrepot-io/entrepot/backend"
)

const (
	// Patience is how long the store may be away before a fill that has readers fails: its bytes in memory would have to
	// come again, and its readers would end short. A leader gives up when its lease does.
	Patience = 15 * time.Second
	// FirstPause is the pause between the first two tries. Pauses grow up to longestPause.
	FirstPause   = 500 * time.Millisecond
	longestPause = 4 * time.Second
	// lastWrites is how long writes under way may take after Over.
	lastWrites = 10 * time.Second
)

// Caller calls an object store for one fill.
type Caller struct {
	Store backend.Store
	Over  <-chan struct{} // closed when the process hands its fills over and waits for no retry
	Log   *slog.Logger
}

// Insist calls do again while the store fails, for Patience at most, and returns the last error.
func (c *Caller) Insist(ctx context.Context, do func() error) error {
	refused := false // the last time
	for began, pause := time.Now(), FirstPause; ; pause = min(2*pause, longestPause) {
		err := do()
		if err == nil || !Passing(err) || time.Since(began) > Patience {
			return err
		}
		last := refused
		if refused = backend.Refused(err); refused && last {
			return err
		}
		c.Log.Debug("the store is out of reach", "error", err)
		select {
		case <-ctx.Done():
			return err
		case <-c.Over:
			return err
		case <-time.After(pause):
		}
	}
}

// IsOver reports whether the process hands its fills over and waits for no retry.
func (c *Caller) IsOver() bool {
	select {
	case <-c.Over:
		return true
	default:
		return false
	}
}

// CancelAfterOver calls cancel if writes are still under way some time after Over. The returned function calls cancel at
// once.
func (c *Caller) CancelAfterOver(cancel context.CancelFunc) context.CancelFunc {
	done := make(chan struct{})
	go func() {
		select {
		case <-done:
			return
		case <-c.Over:
		}
		select {
		case <-done:
		case <-time.After(lastWrites):
			cancel()
		}
	}()
	return sync.OnceFunc(func() { close(done); cancel() })
}

// Passing reports whether err is a failure of the store that may pass: a transient one, or a refusal that package backend
// has no name for, which is worth one repetition.
func Passing(err error) bool { return backend.Transient(err) || backend.Refused(err) }
