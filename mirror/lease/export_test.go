package lease

import (
	"testing"
	"time"
)

// MaxSize exports maxSize.
const MaxSize = maxSize

// Clock replaces the two clocks of a process.
type Clock struct {
	Monotonic time.Duration
	Wall      time.Time
}

// Use makes leases use the clock.
func (c *Clock) Use(_ testing.TB, l *Leases[string]) {
	l.clock = func() instant { return instant{c.Monotonic, c.Wall} }
}
