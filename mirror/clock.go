package mirror

import (
	"sync/atomic"
	"time"
)

// granularity is the difference up to which two readings of a store's clock count as equal: S3 returns whole seconds, and the
// clocks of the servers behind one name differ a little.
const granularity = 2 * time.Second

// elapsed returns the time between two readings of this process's clock. A monotonic clock may stand still while the
// process is suspended, so the longer of both measures counts.
func elapsed(then, now time.Time) time.Duration {
	return max(now.Sub(then), now.Round(0).Sub(then.Round(0)))
}

// storeClock estimates the store's time from the store's last response.
type storeClock struct{ last atomic.Pointer[reading] }

// reading is the time of both clocks at one moment.
type reading struct{ store, own time.Time }

// observe records the store's time and this process's at one moment. A zero store time is ignored.
func (c *storeClock) observe(store, own time.Time) {
	if !store.IsZero() {
		c.last.Store(&reading{store, own})
	}
}

// at returns the store's time when this process's clock shows own, or zero if it is unknown.
func (c *storeClock) at(own time.Time) time.Time {
	last := c.last.Load()
	if last == nil {
		return time.Time{}
	}
	return last.store.Add(elapsed(last.own, own)).UTC().Truncate(time.Second)
}
