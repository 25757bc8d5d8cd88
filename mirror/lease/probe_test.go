package lease_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/backend/backendtest/memory"
	"github.com/entrepot-io/entrepot/mirror/lease"
)

// fakeStore is a store that counts writes and passes them to put.
type fakeStore struct {
	*memory.Store
	// put is called before write number n. It returns the condition to use, or an error for the caller.
	put  func(n int, size int64, c backend.Condition) (backend.Condition, error)
	puts int
}

func (o *fakeStore) Put(ctx context.Context, key string, body io.Reader, size int64, opts backend.PutOptions) (backend.Object, error) {
	o.puts++
	var err error
	if opts.Condition, err = o.put(o.puts, size, opts.Condition); err != nil {
		return backend.Object{}, err
	}
	return o.Store.Put(ctx, key, body, size, opts)
}

var none backend.Condition

func honoured(_ int, _ int64, c backend.Condition) (backend.Condition, error) { return c, nil }

// bare accepts the right ETag only without quotes, as Ceph RGW 16 does.
func bare(_ int, _ int64, c backend.Condition) (backend.Condition, error) {
	switch {
	case c.IfMatch == "":
		return c, nil
	case strings.Contains(string(c.IfMatch), `"`):
		return c, backend.ErrPrecondition
	}
	return backend.Condition{IfMatch: `"` + c.IfMatch + `"`}, nil
}

func TestProbe(t *testing.T) {
	const small = 1 << 10
	for name, c := range map[string]struct {
		put    func(n int, size int64, c backend.Condition) (backend.Condition, error)
		want   lease.Support
		reason string
	}{
		"honours":                   {put: honoured, want: lease.Support{Able: true}},
		"honours ETags unquoted":    {put: bare, want: lease.Support{Able: true, Unquoted: true}},
		"refuses ETags with quotes": {put: unlessBare(backend.ErrUnable), want: lease.Support{Able: true, Unquoted: true}},
		"ignores": {reason: "If-None-Match: * is accepted and ignored", put: func(int, int64, backend.Condition) (backend.Condition, error) {
			return none, nil
		}},
		"ignores If-Match": {reason: "If-Match is accepted and ignored", put: func(_ int, _ int64, c backend.Condition) (backend.Condition, error) {
			return backend.Condition{IfAbsent: c.IfAbsent}, nil
		}},
		"ignores If-None-Match": {reason: "If-None-Match: * is accepted and ignored", put: func(_ int, _ int64, c backend.Condition) (backend.Condition, error) {
			return backend.Condition{IfMatch: c.IfMatch}, nil
		}},
		"ignores unquoted ETags and refuses others": {reason: "If-Match is accepted and ignored", put: func(n int, size int64, c backend.Condition) (backend.Condition, error) {
			if c, err := bare(n, size, c); c.IfMatch == "" || err != nil {
				return c, err
			}
			return none, nil
		}},
		"does not support conditions": {reason: "conditional writes are refused", put: func(_ int, _ int64, c backend.Condition) (backend.Condition, error) {
			if c != none {
				return c, backend.ErrUnable
			}
			return c, nil
		}},
		"does not support If-Match": {reason: "If-Match is refused", put: func(_ int, _ int64, c backend.Condition) (backend.Condition, error) {
			if c.IfMatch != "" {
				return c, backend.ErrUnable
			}
			return c, nil
		}},
		"refuses every If-Match": {reason: "If-Match with the object's own ETag is refused", put: func(_ int, _ int64, c backend.Condition) (backend.Condition, error) {
			if c.IfMatch != "" {
				return c, backend.ErrPrecondition
			}
			return c, nil
		}},
		"refuses every If-None-Match": {reason: "If-None-Match: * is refused without an object", put: func(_ int, _ int64, c backend.Condition) (backend.Condition, error) {
			if c.IfAbsent {
				return c, backend.ErrPrecondition
			}
			return c, nil
		}},
		"ignores If-Match on large objects": {reason: "If-Match is accepted and ignored", put: func(_ int, size int64, c backend.Condition) (backend.Condition, error) {
			if size > small && c.IfMatch != "" {
				return none, nil
			}
			return c, nil
		}},
		"ignores If-Match on small objects": {reason: "If-Match is accepted and ignored", put: func(_ int, size int64, c backend.Condition) (backend.Condition, error) {
			if size < small && c.IfMatch != "" {
				return none, nil
			}
			return c, nil
		}},
		"refuses every If-Match on large objects": {reason: "If-Match with the object's own ETag is refused", put: func(_ int, size int64, c backend.Condition) (backend.Condition, error) {
			if size > small && c.IfMatch != "" {
				return c, backend.ErrPrecondition
			}
			return c, nil
		}},
	} {
		t.Run(name, func(t *testing.T) {
			c.want.Reason = c.reason
			store := &fakeStore{Store: &memory.Store{}, put: c.put}
			support, err := lease.Probe(t.Context(), store, "probe/")
			require.NoError(t, err)
			assert.Equal(t, c.want, support)
			requireEmpty(t, store)
		})
	}
}

// unlessBare fails with refusal if the ETag has quotes.
func unlessBare(refusal error) func(int, int64, backend.Condition) (backend.Condition, error) {
	return func(n int, size int64, c backend.Condition) (backend.Condition, error) {
		if strings.Contains(string(c.IfMatch), `"`) {
			return c, refusal
		}
		return bare(n, size, c)
	}
}

func requireEmpty(t *testing.T, store backend.Store) {
	t.Helper()
	for o := range store.List(context.WithoutCancel(t.Context()), "", "") {
		assert.Fail(t, "left behind", o.Key)
	}
}

func TestProbeDetectsRefusedWritesThatTakeEffect(t *testing.T) {
	store := &treacherous{Store: &memory.Store{}}
	support, err := lease.Probe(t.Context(), store, "probe/")
	require.NoError(t, err)
	require.False(t, support.Able)
	requireEmpty(t, store)
}

// treacherous is a store that refuses writes but performs them.
type treacherous struct{ *memory.Store }

func (s *treacherous) Put(ctx context.Context, key string, body io.Reader, size int64, o backend.PutOptions) (backend.Object, error) {
	c := o.Condition
	o.Condition = none
	current, err := s.Stat(ctx, key)
	stored, putErr := s.Store.Put(ctx, key, body, size, o)
	if c.IfMatch != "" && (err != nil || current.ETag != c.IfMatch) || c.IfAbsent && err == nil {
		return backend.Object{}, backend.ErrPrecondition
	}
	return stored, putErr
}

// statusError is a response with an HTTP status.
type statusError int

func (s statusError) Error() string       { return http.StatusText(int(s)) }
func (s statusError) HTTPStatusCode() int { return int(s) }

// A transient error of a write says nothing about support for leases.
func TestProbeRetriesTransientErrors(t *testing.T) {
	failures := map[string]error{
		"503": statusError(503), "reset": &net.OpError{Op: "read", Net: "tcp", Err: syscall.ECONNRESET}, "409": backend.ErrConflict,
		"429": statusError(429), "timeout": fmt.Errorf("put: %w", context.DeadlineExceeded), "late": backend.ErrLate,
	}
	for name, failure := range failures {
		for at := 1; at <= 5; at++ {
			t.Run(fmt.Sprint(name, " at write ", at), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					store := &fakeStore{Store: &memory.Store{}, put: func(n int, _ int64, c backend.Condition) (backend.Condition, error) {
						if n == at {
							return c, failure
						}
						return c, nil
					}}
					support, err := lease.Probe(t.Context(), store, "probe/")
					require.NoError(t, err)
					assert.Equal(t, lease.Support{Able: true}, support)
					requireEmpty(t, store)
				})
			})
		}
	}
}

func TestProbeRecognizesItsRepeatedWrites(t *testing.T) {
	for at := range 5 {
		store := &faulty{Store: &memory.Store{}, faults: append(make([]string, at), "repeated")}
		support, err := lease.Probe(t.Context(), store, "probe/")
		require.NoError(t, err)
		require.Equal(t, lease.Support{Able: true}, support, "repeated write %d", at+1)
	}
}

func TestProbeFailsIfStoreIsDown(t *testing.T) {
	errDown := statusError(http.StatusInternalServerError)
	for name, put := range map[string]func(int, int64, backend.Condition) (backend.Condition, error){
		"all writes fail":            func(_ int, _ int64, c backend.Condition) (backend.Condition, error) { return c, errDown },
		"a proxy refuses all writes": func(_ int, _ int64, c backend.Condition) (backend.Condition, error) { return c, unableWithout(c) },
		"conditional writes fail":    func(_ int, _ int64, c backend.Condition) (backend.Condition, error) { return c, downWith(c, errDown) },
		"store is full":              func(_ int, _ int64, c backend.Condition) (backend.Condition, error) { return c, backend.ErrFull },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := &fakeStore{Store: &memory.Store{}, put: put}
				ctx, cancel := context.WithTimeout(t.Context(), 8*time.Second)
				defer cancel()
				support, err := lease.Probe(ctx, store, "probe/")
				require.Error(t, err)
				require.NotErrorIs(t, err, context.DeadlineExceeded, "the store's error says more")
				assert.Equal(t, lease.Support{}, support)
				assert.LessOrEqual(t, store.puts, 8)
				requireEmpty(t, store)
			})
		})
	}
}

func unableWithout(c backend.Condition) error {
	if c != none {
		return backend.ErrUnable
	}
	return statusError(http.StatusMethodNotAllowed)
}

func downWith(c backend.Condition, down error) error {
	if c != none {
		return down
	}
	return nil
}

func TestCanceledProbeLeavesNothingBehind(t *testing.T) {
	for at := 1; at <= 5; at++ {
		ctx, cancel := context.WithCancel(t.Context())
		store := &fakeStore{Store: &memory.Store{}, put: func(n int, _ int64, c backend.Condition) (backend.Condition, error) {
			if n == at {
				cancel()
			}
			return c, nil
		}}
		_, err := lease.Probe(ctx, store, "probe/")
		require.ErrorIs(t, err, context.Canceled)
		requireEmpty(t, store)
	}
}
