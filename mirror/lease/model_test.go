package lease_test

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/entrepot-io/entrepot/backend/backendtest/memory"
	"github.com/entrepot-io/entrepot/mirror/lease"
)

// The model runs the real code with every order of the calls' effects on one store. Between any two of them time may pass or
// a response get lost. Each history runs from the beginning, along a list of choices, and ends when it reaches a situation
// that an earlier history has reached.

func TestEveryHistoryOfTwoHolders(t *testing.T) {
	for _, c := range []struct{ faults, expiries int }{{0, 0}, {0, 2}, {1, 1}, {2, 0}} {
		t.Run(fmt.Sprintf("%d faults, %d expiries", c.faults, c.expiries), func(t *testing.T) {
			t.Parallel()
			explorer := &explorer{seen: map[string]bool{}}
			histories := 0
			for more := true; more; more = explorer.next() {
				synctest.Test(t, func(t *testing.T) {
					h := &history{t: t, explorer: explorer, faults: c.faults, expiries: c.expiries, used: map[string]bool{}}
					h.run()
				})
				if t.Failed() {
					return
				}
				histories++
			}
			t.Logf("%d histories, %d situations", histories, len(explorer.seen))
		})
	}
}

// explorer makes choices, different ones in each history, until all have been made.
type explorer struct {
	choices, options []int // choices made so far, and the numbers of options
	at               int
	seen             map[string]bool // situations
}

func (e *explorer) choose(options int) int {
	if e.at == len(e.choices) {
		e.choices, e.options = append(e.choices, 0), append(e.options, options)
	}
	e.at++
	return e.choices[e.at-1]
}

func (e *explorer) next() bool {
	e.at = 0
	for n := len(e.choices) - 1; n >= 0; n-- {
		if e.choices[n]++; e.choices[n] < e.options[n] {
			return true
		}
		e.choices, e.options = e.choices[:n], e.options[:n]
	}
	return false
}

// visited reports whether another history has reached this situation.
func (e *explorer) visited(situation string) bool {
	if e.at < len(e.choices) {
		return false // still repeating earlier choices
	}
	if e.seen[situation] {
		return true
	}
	e.seen[situation] = true
	return false
}

const key = "fills/x/lease"

type record = lease.Record[string]

var (
	errLost error = &net.OpError{Op: "read", Net: "tcp", Err: syscall.ECONNRESET}
	errOver       = errors.New("end of the history")
)

// history is one sequence of events.
type history struct {
	t                *testing.T
	explorer         *explorer
	faults, expiries int // remaining
	store            memory.Store
	holders          []*holder
	late             []*call // calls whose callers have given up
	trace            []string

	// versions are all versions of the lease's object. now is the current one; nil: none.
	versions []*version
	now      *version
	used     map[string]bool // epochs of holders that know that they hold the lease
}

type version struct {
	record
	by      string // the call that wrote it
	written time.Time
}

// call is one request of a holder to the store.
type call struct {
	name   string
	put    bool
	effect func() (outcome string, err error)
	result chan error
}

// holder is a user of the lease. Its calls wait for their turn.
type holder struct {
	*history
	name    string
	pending *call
	calls   int
	epoch   string   // of its holding, if any
	learned []string // outcomes of its calls, which determine its next step
	ended   bool
}

func (h *history) run() {
	for _, name := range []string{"A", "B"} {
		h.holders = append(h.holders, &holder{history: h, name: name})
	}
	for _, holder := range h.holders {
		go func() {
			holder.use()
			holder.ended = true
		}()
	}
	synctest.Wait()
	for h.step() {
		synctest.Wait()
	}
	for _, holder := range h.holders {
		for !holder.ended {
			holder.pending.result <- errOver
			synctest.Wait()
		}
	}
	h.checkFree()
}

// step makes one of the possible events happen. It returns false if there is none, or if the situation is known.
func (h *history) step() bool {
	if h.explorer.visited(h.situation()) {
		return false
	}
	var steps []func()
	waiting := false
	for _, holder := range h.holders {
		if call := holder.pending; call != nil && !holder.ended {
			if waiting = true; len(h.trace) == 0 && holder != h.holders[0] {
				continue // both do the same, so the first one begins
			}
			steps = append(steps, func() { h.respond(holder, call, "") })
			if h.faults > 0 {
				for _, fault := range faults[call.put] {
					steps = append(steps, func() { h.faults--; h.respond(holder, call, fault) })
				}
			}
		}
	}
	for n, call := range h.late {
		steps = append(steps, func() {
			h.late = slices.Delete(h.late, n, n+1)
			outcome, _ := call.effect() // its caller has given up
			h.logf("%s takes effect late: %s", call.name, outcome)
		})
	}
	if h.expiries > 0 && waiting {
		steps = append(steps, func() {
			h.expiries--
			time.Sleep(lease.TTL + 2*time.Second)
			h.logf("time passes")
		})
	}
	if len(steps) == 0 {
		return false
	}
	steps[h.explorer.choose(len(steps))]()
	return true
}

// faults of reads (false) and writes (true).
var faults = map[bool][]string{
	false: {"request lost"},
	true:  {"request lost", "response lost", "repeated", "late"},
}

func (h *history) respond(holder *holder, call *call, fault string) {
	outcome, err := "request lost", errLost
	switch fault {
	case "":
		outcome, err = call.effect()
	case "response lost":
		outcome, _ = call.effect()
		h.logf("%s: %s, response lost", call.name, outcome)
		outcome = "request lost"
	case "repeated": // by the store's SDK, which got no response
		first, _ := call.effect()
		h.logf("%s: %s, to be repeated", call.name, first)
		return
	case "late":
		h.late = append(h.late, call)
	}
	h.logf("%s %s: %s", call.name, fault, outcome)
	holder.learned = append(holder.learned, outcome)
	holder.pending = nil
	call.result <- err
}

func (h *history) logf(format string, args ...any) {
	h.trace = append(h.trace, fmt.Sprintf(format, args...))
}

func (h *history) broken(format string, args ...any) {
	h.t.Errorf("%s\n%s", fmt.Sprintf(format, args...), strings.Join(h.trace, "\n"))
}

// situation describes all that the future depends on. Epochs and nonces are random, so versions are identified by the calls
// that wrote them.
func (h *history) situation() string {
	s := fmt.Sprint(h.faults, h.expiries)
	for _, holder := range h.holders {
		s += fmt.Sprint(";", holder.learned, holder.ended)
		if holder.pending != nil {
			s += holder.pending.name
		}
	}
	for _, call := range h.late {
		s += ";" + call.name
	}
	if h.now != nil {
		s += fmt.Sprint(";", h.now.by, time.Since(h.now.written))
	}
	return s
}
