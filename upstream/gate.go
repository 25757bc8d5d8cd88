package upstream

import "time"

// The pauses of a gate grow from shortestPause to longestPause, unless the upstream asks for another one.
const (
	shortestPause = 5 * time.Second
	longestPause  = 60 * time.Second
)

// gate admits requests while it is open and holds them back while it is closed. After its pause it admits one request, the
// probe, which opens the gate or keeps it closed. The zero value is open. The lock of its health guards it.
type gate struct {
	until time.Time // when the next probe may go; zero: the gate is open
	pause time.Duration
	probe *attempt // in progress; nil: none
	why   *Error   // what closed the gate
}

func (g *gate) isClosed() bool { return !g.until.IsZero() }

func (g *gate) admits(now time.Time) bool {
	return !g.isClosed() || (g.probe == nil && !now.Before(g.until))
}

// enter records an attempt that the gate admitted.
func (g *gate) enter(a *attempt) {
	if g.isClosed() {
		g.probe = a
	}
}

// close closes the gate. It never shortens the current pause.
func (g *gate) close(now time.Time, pause time.Duration, why *Error) {
	until := now.Add(pause)
	if until.Before(g.until) {
		until = g.until
	}
	g.until, g.pause, g.why = until, pause, why
}

// failed closes the gate, for longer if the probe failed. Other failures while the gate is closed change nothing: those
// requests were admitted before it closed.
func (g *gate) failed(a *attempt, now time.Time, least time.Duration, why *Error) {
	if g.probe == a || !g.isClosed() {
		g.close(now, min(max(2*g.pause, least), longestPause), why)
	}
}

func (g *gate) open() { *g = gate{} }

// succeeded opens the gate if the attempt was the probe.
func (g *gate) succeeded(a *attempt) {
	if g.probe == a {
		g.open()
	}
}

// leave records that an attempt has ended. If it was the probe and the gate is still closed, another probe may follow.
func (g *gate) leave(a *attempt) {
	if g.probe == a {
		g.probe = nil
	}
}

// refusal returns the error for requests that are held back: what closed the gate, and when to retry.
func (g *gate) refusal(now time.Time) *Error {
	e := *g.why
	e.held = true
	// The remaining pause is unknown while a probe is in progress.
	e.RetryAfter = max(g.until.Sub(now), time.Second)
	return &e
}
