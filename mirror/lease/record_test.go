package lease_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/backend/backendtest/memory"
	"github.com/entrepot-io/entrepot/mirror/lease"
)

// newBounded returns a store that refuses writes larger than a lease may be.
func newBounded(t *testing.T) *fakeStore {
	store := &fakeStore{Store: &memory.Store{}}
	store.put = func(_ int, size int64, c backend.Condition) (backend.Condition, error) {
		assert.LessOrEqual(t, size, int64(lease.MaxSize))
		return c, nil
	}
	return store
}

func TestLeaseStaysSmallAfterManyHolders(t *testing.T) {
	leases := &lease.Leases[string]{Store: newBounded(t)}
	held := acquire(t, leases)
	held.Set(strings.Repeat("x", lease.MaxState-2))
	var epochs []string
	for range 200 {
		require.NoError(t, held.Release(t.Context()))
		epochs = append(epochs, held.Epoch())
		held = acquire(t, leases)
		require.Len(t, held.State(), lease.MaxState-2)
		before := held.Before()
		require.NotEmpty(t, before)
		require.Equal(t, epochs[len(epochs)-len(before):], before, "the last ones are kept")
	}
}

func TestLargeForeignLeasesAreTakenOver(t *testing.T) {
	long := strings.Repeat("<", 1<<16) // six bytes each as JSON
	names := strings.Repeat(`"`+strings.Repeat("<", 64)+`",`, 1000)
	for name, c := range map[string]struct {
		data     string
		readable bool
	}{
		"long state":          {`{"epoch":"E","released":true,"state":"` + long + `"}`, false},
		"long epoch":          {`{"epoch":"` + long + `","released":true,"state":"x"}`, false},
		"many former holders": {`{"epoch":"E","released":true,"before":[` + names + `"D"],"state":"x"}`, true},
		"long former holders": {`{"epoch":"E","released":true,"before":["` + long + `"],"state":"x"}`, true},
		"maximum turn":        {`{"epoch":"E","released":true,"turn":9223372036854775807,"state":"x"}`, true},
		"minimum turn":        {`{"epoch":"E","released":true,"turn":-9223372036854775808,"state":"x"}`, true},
	} {
		t.Run(name, func(t *testing.T) {
			store := newBounded(t)
			_, err := store.Store.Put(t.Context(), key, bytes.NewReader([]byte(c.data)), int64(len(c.data)), backend.PutOptions{})
			require.NoError(t, err)
			held := acquire(t, &lease.Leases[string]{Store: store})
			assert.Greater(t, held.Turn(), 1, "the former holder counts")
			require.NoError(t, held.Renew(t.Context()))
			if c.readable {
				assert.Equal(t, "x", held.State())
				assert.Equal(t, "E", held.Before()[len(held.Before())-1])
			} else {
				assert.Empty(t, held.State(), "it counts as unreadable")
			}
		})
	}
}

func TestTooLargeStateIsNotWritten(t *testing.T) {
	held := acquire(t, &lease.Leases[string]{Store: newBounded(t)})
	held.Set(strings.Repeat("x", lease.MaxSize))
	require.ErrorContains(t, held.Renew(t.Context()), "too large")
}
