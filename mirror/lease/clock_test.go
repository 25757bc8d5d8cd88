package lease_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/backend/backendtest/memory"
	"github.com/entrepot-io/entrepot/mirror/lease"
)

// After a suspended machine or a frozen process wakes up, one of its clocks may show that no time has passed.
func TestWokenHolderKeepsSuccessorsLease(t *testing.T) {
	for name, wake := range map[string]func(*lease.Clock){
		"monotonic clock stopped": func(c *lease.Clock) { c.Wall = c.Wall.Add(time.Minute) },
		"wall clock was set back": func(c *lease.Clock) {
			c.Monotonic += time.Minute
			c.Wall = c.Wall.Add(-time.Hour)
		},
	} {
		t.Run(name, func(t *testing.T) {
			store := &fakeStore{Store: &memory.Store{}, put: honoured}
			clock := lease.Clock{Monotonic: time.Hour, Wall: time.Unix(1_000_000, 0)}
			leases := &lease.Leases[string]{Store: store}
			clock.Use(t, leases)
			asleep := acquire(t, leases)
			require.NoError(t, asleep.Confirm(t.Context()))
			require.Equal(t, 1, store.puts, "the lease was just written")

			store.Store.Now = func() time.Time { return time.Now().Add(time.Minute) }
			successor := acquire(t, &lease.Leases[string]{Store: store})
			wake(&clock)
			require.ErrorIs(t, asleep.Confirm(t.Context()), lease.ErrLost)
			require.NoError(t, asleep.Remove(t.Context()))
			require.NoError(t, successor.Renew(t.Context()))
		})
	}
}

// A process may be suspended between confirming the lease and deleting it.
func TestHolderSuspendedInRemoveConfirmsAgain(t *testing.T) {
	store := &fakeStore{Store: &memory.Store{}, put: honoured}
	clock := lease.Clock{Wall: time.Unix(1_000_000, 0)}
	leases := &lease.Leases[string]{Store: store}
	clock.Use(t, leases)
	held := acquire(t, leases)
	clock.Wall = clock.Wall.Add(6 * time.Second)
	stops := 1
	store.put = func(n int, size int64, c backend.Condition) (backend.Condition, error) {
		if stops--; stops >= 0 {
			clock.Wall = clock.Wall.Add(time.Minute) // suspended before the response
		}
		return c, nil
	}
	require.NoError(t, held.Remove(t.Context()))
	assert.Equal(t, 3, store.puts, "confirmed twice")
	requireEmpty(t, store)

	held = acquire(t, leases)
	clock.Wall = clock.Wall.Add(6 * time.Second)
	stops = 100
	require.Error(t, held.Remove(t.Context()), "never in time")
	assert.LessOrEqual(t, store.puts, 8)
}
