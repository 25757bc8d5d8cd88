package lease_test

import (
	"bytes"
	"context"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/backend/backendtest/memory"
	"github.com/entrepot-io/entrepot/mirror/lease"
)

func TestLeaseExpiresByStoresClock(t *testing.T) {
	now := time.Date(1999, 12, 31, 23, 59, 59, 900_000_000, time.UTC) // unrelated to this process's clock
	leases := &lease.Leases[string]{Store: &memory.Store{Now: func() time.Time { return now }}}
	first := acquire(t, leases)
	first.Set("half")
	require.NoError(t, first.Renew(t.Context()))
	for _, step := range []struct {
		after time.Duration // the write
		free  bool
	}{
		{0, false},
		{lease.TTL, false},
		// In whole seconds, 11 pass from 59.9 to 10.1.
		{lease.TTL + 200*time.Millisecond, true},
		{lease.TTL + 2*time.Second, true},
	} {
		now = now.Truncate(time.Minute).Add(59*time.Second + 900*time.Millisecond + step.after)
		_, free, err := leases.Get(t.Context(), key)
		require.NoError(t, err)
		assert.Equal(t, step.free, free, "%s after", step.after)
		now = now.Add(-step.after)
	}
	held, record, err := leases.Acquire(t.Context(), key)
	require.NoError(t, err)
	require.Nil(t, held, "still held")
	assert.Equal(t, "half", record.State)

	now = now.Add(lease.TTL + time.Second)
	second := acquire(t, leases)
	assert.Equal(t, "half", second.State())
	assert.Equal(t, 2, second.Turn())
	assert.Equal(t, []string{first.Epoch()}, second.Before())
	assert.NotEqual(t, first.Epoch(), second.Epoch())
	assert.ErrorIs(t, first.Renew(t.Context()), lease.ErrLost)
	assert.ErrorIs(t, first.Release(t.Context()), lease.ErrLost)
	require.NoError(t, second.Renew(t.Context()))
}

func TestReleasedLeaseIsTakenOverAtOnce(t *testing.T) {
	leases := &lease.Leases[string]{Store: &memory.Store{}}
	first := acquire(t, leases)
	first.Set("half")
	require.NoError(t, first.Release(t.Context()))
	second := acquire(t, leases)
	assert.Equal(t, "half", second.State())
	require.NoError(t, second.Remove(t.Context()))
	_, _, err := leases.Get(t.Context(), key)
	assert.ErrorIs(t, err, backend.ErrNotFound)
	third := acquire(t, leases)
	assert.Empty(t, third.State())
	assert.Equal(t, 1, third.Turn())
	assert.Empty(t, third.Before())
}

func TestHoldersThatSetNoStateAreRemembered(t *testing.T) {
	leases := &lease.Leases[string]{Store: &memory.Store{}}
	var epochs []string
	for range 3 {
		held := acquire(t, leases)
		assert.Equal(t, epochs, held.Before())
		epochs = append(epochs, held.Epoch())
		require.NoError(t, held.Release(t.Context()))
	}
	held := acquire(t, leases)
	held.Set("their work")
	require.NoError(t, held.Release(t.Context()))
	assert.Equal(t, []string{held.Epoch()}, acquire(t, leases).Before())
}

// faulty is a store whose next writes each have a fault.
type faulty struct {
	backend.Store
	faults []string
}

func (f *faulty) Put(ctx context.Context, key string, body io.Reader, size int64, o backend.PutOptions) (backend.Object, error) {
	fault := ""
	if len(f.faults) > 0 {
		fault, f.faults = f.faults[0], f.faults[1:]
	}
	data, err := io.ReadAll(body)
	if err != nil {
		return backend.Object{}, err
	}
	put := func() (backend.Object, error) { return f.Store.Put(ctx, key, bytes.NewReader(data), size, o) }
	switch fault {
	case "repeated": // by the SDK, after a lost response
		if _, err := put(); err != nil {
			return backend.Object{}, err
		}
	case "response lost":
		if _, err := put(); err != nil {
			return backend.Object{}, err
		}
		return backend.Object{}, errLost
	case "request lost":
		return backend.Object{}, errLost
	}
	return put()
}

func TestHolderRecognizesItsWrites(t *testing.T) {
	for _, faults := range [][]string{
		{"repeated"}, {"", "repeated"}, {"", "response lost"}, {"", "response lost", "response lost"}, {"", "response lost", "repeated"},
		{"", "request lost", "repeated"}, {"repeated", "response lost", "request lost"},
	} {
		t.Run(strings.Join(faults, ","), func(t *testing.T) {
			store := &faulty{Store: &memory.Store{}, faults: faults}
			held := acquire(t, &lease.Leases[string]{Store: store})
			for range faults {
				if err := held.Renew(t.Context()); err != nil {
					require.ErrorIs(t, err, errLost)
				}
			}
			held.Set("last")
			require.NoError(t, held.Release(t.Context()))
			assert.Equal(t, "last", acquire(t, &lease.Leases[string]{Store: store}).State())
		})
	}
}

func TestUnreadableLeaseIsTakenOver(t *testing.T) {
	for _, data := range []string{"", "x", "{}", `{"epoch":1}`, `{"turn":3,"state":"x"}`, `{"epoch":"e","state":5}`, strings.Repeat(" ", 5<<20) + `{"epoch":"e"}`} {
		store := &memory.Store{}
		_, err := store.Put(t.Context(), key, strings.NewReader(data), int64(len(data)), backend.PutOptions{})
		require.NoError(t, err)
		leases := &lease.Leases[string]{Store: store}
		_, free, err := leases.Get(t.Context(), key)
		require.NoError(t, err)
		assert.True(t, free, "%.20q", data)
		held := acquire(t, leases)
		assert.Empty(t, held.State())
		assert.Empty(t, held.Before())
	}
}

func TestSuspendedHolderKeepsSuccessorsLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		leases := &lease.Leases[string]{Store: &memory.Store{}}
		stopped := acquire(t, leases)
		require.NoError(t, stopped.Confirm(t.Context()))
		time.Sleep(lease.Renew + time.Second)
		require.NoError(t, stopped.Confirm(t.Context()), "nobody took it over")
		time.Sleep(lease.TTL + 2*time.Second)
		held := acquire(t, leases)
		require.ErrorIs(t, stopped.Confirm(t.Context()), lease.ErrLost)
		require.NoError(t, stopped.Remove(t.Context()))
		require.NoError(t, held.Renew(t.Context()))
	})
}

func acquire(t *testing.T, leases *lease.Leases[string]) *lease.Held[string] {
	t.Helper()
	held, _, err := leases.Acquire(t.Context(), key)
	require.NoError(t, err)
	require.NotNil(t, held)
	return held
}
