package lease

import "time"

// instant is a moment on both clocks of this process. The monotonic clock may stop while the machine is suspended or the
// process is frozen, and the wall clock may be set back.
type instant struct {
	monotonic time.Duration
	wall      time.Time
}

var started = time.Now()

func now() instant {
	now := time.Now()
	return instant{now.Sub(started), now.Round(0)} // Round drops the monotonic reading
}

// since returns the time since an earlier instant, by the clock that advanced further.
func (i instant) since(earlier instant) time.Duration {
	return max(i.monotonic-earlier.monotonic, i.wall.Sub(earlier.wall))
}
