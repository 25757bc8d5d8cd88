package backend_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/backend"
)

// statusError is an error with an HTTP status, as both SDKs have.
type statusError int

func (s statusError) Error() string       { return http.StatusText(int(s)) }
func (s statusError) HTTPStatusCode() int { return int(s) }

// marked is an error of a store that decides by itself.
type marked struct {
	error
	transient bool
}

func (m marked) Transient() bool { return m.transient }

func TestTransientErrors(t *testing.T) {
	reset := &net.OpError{Op: "read", Err: syscall.ECONNRESET}
	for name, c := range map[string]struct {
		err  error
		want bool
	}{
		"nil":                      {nil, false},
		"stall":                    {backend.ErrLate, true},
		"deadline":                 {context.DeadlineExceeded, true},
		"cancellation":             {context.Canceled, false},
		"cancellation of a retry":  {fmt.Errorf("%w; %w before the next attempt", statusError(503), context.Canceled), false},
		"connection refused":       {&url.Error{Op: "Get", Err: &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}}, true},
		"connection reset":         {reset, true},
		"body broken off":          {io.ErrUnexpectedEOF, true},
		"caller's body broken off": {&backend.BodyError{Err: io.ErrUnexpectedEOF}, false},
		"caller's body reset":      {&backend.BodyError{Err: reset}, false},
		"marked transient":         {marked{backend.ErrUnable, true}, true},
		"marked final":             {marked{reset, false}, false},
		"unknown":                  {errors.New("unknown"), false},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, c.want, backend.Transient(c.err))
			if c.err != nil {
				require.Equal(t, c.want, backend.Transient(fmt.Errorf("get a: %w", c.err)), "wrapped")
			}
			require.False(t, backend.Refused(c.err))
		})
	}
}

func TestContractErrorsAreNotTransient(t *testing.T) {
	for _, err := range []error{
		backend.ErrNotFound, backend.ErrPrecondition, backend.ErrConflict, backend.ErrChecksum, backend.ErrRange, backend.ErrNoBucket,
		backend.ErrDenied, backend.ErrKey, backend.ErrFull, backend.ErrReadOnly, backend.ErrUnable, &backend.PermissionError{},
	} {
		require.False(t, backend.Transient(err), err)
		require.False(t, backend.Refused(err), err)
	}
}

func TestTransientStatuses(t *testing.T) {
	for status := 100; status < 600; status++ {
		err := fmt.Errorf("get a: %w", statusError(status))
		switch status {
		case 408, 425, 429, 499, 500, 502, 503, 504:
			require.True(t, backend.Transient(err), status)
			require.False(t, backend.Refused(err), status)
		case 501, 505, 507, 508, 510, 511:
			require.False(t, backend.Transient(err), status)
		default:
			require.Equal(t, status >= 500, backend.Transient(err), status)
			require.Equal(t, status/100 == 4, backend.Refused(err), status)
		}
	}
}

func TestLateStoreIsTransientAndLateCallerToo(t *testing.T) {
	hang := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
	require.True(t, backend.Transient(backend.InTime(t.Context(), time.Millisecond, hang)))

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.False(t, backend.Transient(backend.InTime(ctx, time.Minute, hang)))
}
