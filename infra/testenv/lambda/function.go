// Package lambda simulates AWS Lambda for tests. It runs each execution environment as a process that uses the runtime
// API, handles one invocation at a time and is frozen in between. A front translates HTTP requests to events.
//
// It follows AWS's documentation: "Using the Lambda runtime API for custom runtimes", "Lambda execution environment
// lifecycle", and for each front the page on invoking a function.
package lambda

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/entrepot-io/entrepot/infra/testenv"
)

// Options configure a function.
type Options struct {
	Bootstrap string        // path of the program, started without arguments
	Env       []string      // environment variables
	Timeout   time.Duration // ends an invocation and its environment
	Front     Front
	Stage     string // of an API; empty: $default
	// Unfrozen lets processes run between invocations, so that tests see if they do anything.
	Unfrozen bool
}

// A Function is a Lambda function. Its methods may be called concurrently.
type Function struct {
	Options
	t    testing.TB
	addr string // of the front

	mu    sync.Mutex
	early time.Duration // see EndAfter
	idle  []*environment
	all   []*environment
	count Counts
}

// Counts counts events since the function's start.
type Counts struct {
	Invocations int
	Starts      int // environments started
	Freezes     int
	TimedOut    int
	Failed      int           // invocations that ended with a function error or with the process's exit
	Refused     int           // responses that the service or the front rejected for their size or format
	Longest     time.Duration // longest successful invocation
}

// Start creates a function with a front on a free port. Environments start on demand.
func Start(t testing.TB, o Options) *Function {
	t.Helper()
	f := &Function{Options: o, t: t, addr: testenv.FreeAddr(t, "127.0.0.1")}
	listener, err := net.Listen("tcp", f.addr)
	if err != nil {
		t.Fatal(err)
	}
	front := &http.Server{Handler: http.HandlerFunc(f.serve), ReadHeaderTimeout: time.Minute}
	go func() { _ = front.Serve(listener) }() // returns after Close
	t.Cleanup(func() { front.Close() })
	return f
}

// Addr returns the front's host and port.
func (f *Function) Addr() string { return f.addr }

// URL returns the front's URL, including an API's stage.
func (f *Function) URL() string {
	if f.Stage != "" {
		return "http://" + f.addr + "/" + f.Stage
	}
	return "http://" + f.addr
}

// Counts returns the counts so far.
func (f *Function) Counts() Counts {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.count
}

// Output returns the output of all environments.
func (f *Function) Output() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var all string
	for _, e := range f.all {
		all += e.process.Output(f.t)
	}
	return all
}

// EndAfter ends invocations after d, before the deadline in their event. It simulates a process that runs out of memory
// or a host that fails. 0 restores the deadline.
func (f *Function) EndAfter(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.early = d
}

func (f *Function) timeout() time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	return cmp.Or(f.early, f.Timeout)
}

// Errors of Invoke.
var (
	ErrTimedOut = errors.New("task timed out")
	ErrExited   = errors.New("the runtime exited")
)

// A FunctionError is an error that the function reported.
type FunctionError struct{ Type, Message string }

func (e *FunctionError) Error() string { return e.Type + ": " + e.Message }

// Invoke sends an event to an idle or a new environment and returns the response. The error is ErrTimedOut, ErrExited, a
// *FunctionError, or the reason why the service rejected the response.
func (f *Function) Invoke(payload []byte) (*Response, error) {
	e, err := f.environment()
	if err != nil {
		return nil, err
	}
	began := time.Now()
	i := &invocation{
		id: rand.Text(), payload: payload, deadline: began.Add(f.Timeout), answered: make(chan outcome, 1), over: make(chan struct{}),
	}
	e.thaw()
	timeout := time.NewTimer(f.timeout())
	defer timeout.Stop()
	go func() { // the environment is busy until it requests the next invocation
		select {
		case <-i.over:
			f.release(e)
		case <-e.exited():
		case <-time.After(time.Until(i.deadline)):
			e.end()
		}
	}()
	select {
	case e.next <- i:
	case <-e.exited():
	}
	var got outcome
	select {
	case got = <-i.answered:
	case <-e.exited():
		got.err = ErrExited
	case <-timeout.C:
		e.end()
		got.err = ErrTimedOut
	}
	f.record(got, time.Since(began))
	return got.response, got.err
}

func (f *Function) record(got outcome, took time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.count.Invocations++
	failed := new(FunctionError)
	switch {
	case got.err == nil:
		f.count.Longest = max(f.count.Longest, took)
	case errors.Is(got.err, ErrTimedOut):
		f.count.TimedOut++
	case errors.Is(got.err, ErrExited), errors.As(got.err, &failed):
		f.count.Failed++
	default:
		f.count.Refused++
	}
}

// environment returns the most recently used idle environment, or starts one.
func (f *Function) environment() (*environment, error) {
	if e := f.takeIdle(); e != nil {
		return e, nil
	}
	e := f.startEnvironment()
	f.mu.Lock()
	f.count.Starts++
	f.all = append(f.all, e)
	f.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	select {
	case <-e.ready:
		return e, nil
	case <-e.exited():
		return nil, fmt.Errorf("%w: %s", ErrExited, e.initError())
	case <-ctx.Done():
		e.end()
		return nil, fmt.Errorf("start environment: %w", ErrTimedOut)
	}
}

func (f *Function) takeIdle() *environment {
	f.mu.Lock()
	defer f.mu.Unlock()
	for n := len(f.idle); n > 0; n = len(f.idle) {
		e := f.idle[n-1]
		f.idle = f.idle[:n-1]
		select {
		case <-e.exited():
		default:
			return e
		}
	}
	return nil
}

// release freezes an environment and makes it available for the next invocation.
func (f *Function) release(e *environment) {
	if !f.Unfrozen {
		e.freeze()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.Unfrozen {
		f.count.Freezes++
	}
	f.idle = append(f.idle, e)
}
