//go:build e2e

package cluster_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"syscall"
	"testing"
	"time"
)

// A fault is a fault injected into the cluster.
type fault struct {
	kind       string
	begun, end time.Time // end is zero while the fault lasts
}

// chaos injects random faults. Each replica has at most one fault at any time; the bucket can be down in addition.
type chaos struct {
	*cluster
	random   *rand.Rand
	faults   []*fault
	active   []*activeFault
	faulty   map[*slot]bool
	restarts []*slot // waiting for a restart, one after the other
}

// An activeFault is a fault that chaos still has to undo. It ends when its time is over and ready returns true.
type activeFault struct {
	*fault
	slot  *slot // nil for the bucket
	due   time.Time
	ready func() bool // nil: always ready
	undo  func()
}

// faultKinds are the kinds of faults with their relative frequencies.
var faultKinds = []struct {
	kind   string
	weight int
}{
	{"kill", 4}, {"pause", 4}, {"restart", 2}, {"rolling restart", 1}, {"cut", 2}, {"block", 2}, {"slow", 2}, {"bucket stop", 2},
}

func newChaos(c *cluster, random *rand.Rand) *chaos {
	return &chaos{cluster: c, random: random, faulty: map[*slot]bool{}}
}

// run injects faults until a time, or until stop is closed. Then it undoes all faults.
func (c *chaos) run(t *testing.T, until time.Time, stop <-chan struct{}) {
	t.Helper()
	next := time.Now().Add(2 * time.Second)
	for time.Now().Before(until) {
		c.undo(t, false)
		c.restart(t)
		if time.Now().After(next) {
			c.inject(t)
			next = time.Now().Add(c.between(time.Second, 4*time.Second))
		}
		select {
		case <-stop:
			until = time.Now()
		case <-time.After(50 * time.Millisecond):
		}
	}
	c.restarts = nil
	for len(c.active) > 0 {
		c.undo(t, true)
		time.Sleep(50 * time.Millisecond)
	}
	c.journal.add("chaos", "all faults undone")
}

// undo undoes the faults that are due, or all.
func (c *chaos) undo(t *testing.T, all bool) {
	t.Helper()
	left := c.active[:0]
	for _, a := range c.active {
		if !all && time.Now().Before(a.due) || a.ready != nil && !a.ready() {
			left = append(left, a)
			continue
		}
		a.undo()
		a.fault.end = time.Now()
		delete(c.faulty, a.slot)
		c.journal.add("chaos", "end of %s", a.kind)
	}
	c.active = left
}

// inject injects a random fault. It does nothing if it picks a replica that has a fault already.
func (c *chaos) inject(t *testing.T) {
	t.Helper()
	kind := c.pickKind()
	s := c.slots[c.random.IntN(len(c.slots))]
	switch {
	case kind == "bucket stop":
		c.stopBucket(t)
	case kind == "rolling restart":
		if c.restarts == nil {
			c.restarts = append(c.restarts, c.slots...)
		}
	case c.faulty[s]:
	case kind == "kill":
		c.begin(s, kind, c.between(0, 4*time.Second), nil, func() { c.start(t, s) })
		s.process.Kill()
	case kind == "pause":
		s.process.Signal(t, syscall.SIGSTOP)
		c.begin(s, kind, c.between(time.Second, 14*time.Second), nil, func() { s.process.Signal(t, syscall.SIGCONT) })
	case kind == "restart":
		c.restarts = append(c.restarts, s)
	case kind == "cut":
		c.begin(s, kind, c.between(time.Second, 8*time.Second), nil, func() { s.link.Restore(t) })
		s.link.Cut(t)
	case kind == "block":
		c.begin(s, kind, c.between(time.Second, 8*time.Second), nil, func() { s.link.Restore(t) })
		s.link.Block(t)
	case kind == "slow":
		c.begin(s, kind, c.between(3*time.Second, 12*time.Second), nil, func() { s.link.Restore(t) })
		s.link.Slow(t, 300_000)
	}
}

// restart terminates the next replica that waits for a restart, once the previous one is back.
func (c *chaos) restart(t *testing.T) {
	t.Helper()
	if len(c.restarts) == 0 || c.isRestarting() || c.faulty[c.restarts[0]] {
		return
	}
	s := c.restarts[0]
	c.restarts = c.restarts[1:]
	c.begin(s, "restart", 0, func() bool { return hasExited(s) }, func() { c.start(t, s) })
	s.process.Signal(t, syscall.SIGTERM)
}

func (c *chaos) isRestarting() bool {
	for _, a := range c.active {
		if a.kind == "restart" {
			return true
		}
	}
	return false
}

func hasExited(s *slot) bool {
	return s.process.Cmd.Process.Signal(syscall.Signal(0)) == os.ErrProcessDone
}

func (c *chaos) stopBucket(t *testing.T) {
	t.Helper()
	for _, a := range c.active {
		if a.slot == nil {
			return
		}
	}
	server := c.bucket.server
	c.begin(nil, "bucket stop", c.between(0, 6*time.Second), nil, func() { server.Restart(quiet{t}) })
	server.Stop()
}

func (c *chaos) begin(s *slot, kind string, duration time.Duration, ready func() bool, undo func()) {
	now := time.Now()
	begun := &fault{kind: kind, begun: now}
	c.faults = append(c.faults, begun)
	c.active = append(c.active, &activeFault{fault: begun, slot: s, due: now.Add(duration), ready: ready, undo: undo})
	if s != nil {
		c.faulty[s] = true
		c.journal.add("chaos", "%s of %s for %.1f s", kind, s.name, duration.Seconds())
	} else {
		c.journal.add("chaos", "%s for %.1f s", kind, duration.Seconds())
	}
}

func (c *chaos) pickKind() string {
	total := 0
	for _, k := range faultKinds {
		total += k.weight
	}
	n := c.random.IntN(total)
	for _, k := range faultKinds {
		if n -= k.weight; n < 0 {
			return k.kind
		}
	}
	panic("unreachable: n is less than the sum of the weights")
}

func (c *chaos) between(least, most time.Duration) time.Duration {
	return least + time.Duration(c.random.Int64N(int64(most-least)))
}

func (c *chaos) String() string {
	kinds := map[string]int{}
	for _, f := range c.faults {
		kinds[f.kind]++
	}
	return fmt.Sprintf("%d faults: %s", len(c.faults), counts(kinds))
}
