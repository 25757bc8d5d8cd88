package lease_test

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/backend/backendtest/memory"
	"github.com/entrepot-io/entrepot/mirror/lease"
)

// refusingMatch is a store that refuses every If-Match from write number from on.
func refusingMatch(from int, refusal error) *fakeStore {
	return &fakeStore{Store: &memory.Store{}, put: func(n int, _ int64, c backend.Condition) (backend.Condition, error) {
		if n >= from && c.IfMatch != "" {
			return c, refusal
		}
		return c, nil
	}}
}

func TestRenewStopsIfConditionIsWronglyRefused(t *testing.T) {
	for _, refusal := range []error{backend.ErrPrecondition, backend.ErrNotFound, backend.ErrUnable} {
		synctest.Test(t, func(t *testing.T) {
			store := refusingMatch(3, refusal)
			held := acquire(t, &lease.Leases[string]{Store: store})
			require.NoError(t, held.Renew(t.Context()))
			require.ErrorIs(t, held.Renew(t.Context()), lease.ErrBroken)
			require.ErrorIs(t, held.Release(t.Context()), lease.ErrBroken)
			assert.LessOrEqual(t, store.puts, 6)
			require.NoError(t, held.Abandon(t.Context()))
			requireEmpty(t, store)
		})
	}
}

func TestTakeOverStopsIfConditionIsWronglyRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := refusingMatch(3, backend.ErrPrecondition)
		leases := &lease.Leases[string]{Store: store}
		held := acquire(t, leases)
		held.Set("half")
		require.NoError(t, held.Release(t.Context()))
		taken, record, err := leases.Acquire(t.Context(), key)
		require.ErrorIs(t, err, lease.ErrBroken)
		require.Nil(t, taken)
		assert.Equal(t, held.Epoch(), record.Epoch)
		assert.Equal(t, "half", record.State)
		assert.LessOrEqual(t, store.puts, 5)
	})
}

func TestStoreThatRefusesNewLeasesIsBroken(t *testing.T) {
	store := &fakeStore{Store: &memory.Store{}, put: func(_ int, _ int64, c backend.Condition) (backend.Condition, error) {
		return c, backend.ErrPrecondition
	}}
	leases := &lease.Leases[string]{Store: store}
	for range 4 {
		held, _, err := leases.Acquire(t.Context(), key)
		require.NoError(t, err, "a lease may have been removed meanwhile")
		require.Nil(t, held)
	}
	_, _, err := leases.Acquire(t.Context(), key)
	require.ErrorIs(t, err, lease.ErrBroken)
}

func TestWriteGivesUp(t *testing.T) {
	for name, refusal := range map[string]error{"conflicts": backend.ErrConflict, "new versions": backend.ErrPrecondition} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := &fakeStore{Store: &memory.Store{}}
				store.put = func(n int, _ int64, c backend.Condition) (backend.Condition, error) {
					if n == 1 {
						return c, nil
					}
					if refusal == backend.ErrPrecondition { // a foreign write with this holder's epoch
						store.rewrite(t)
					}
					return c, refusal
				}
				held := acquire(t, &lease.Leases[string]{Store: store})
				err := held.Renew(t.Context())
				require.ErrorIs(t, err, refusal)
				require.NotErrorIs(t, err, lease.ErrBroken)
				require.NotErrorIs(t, err, lease.ErrLost)
				assert.LessOrEqual(t, store.puts, 6)
			})
		})
	}
}

// rewrite stores the lease again, with another nonce.
func (o *fakeStore) rewrite(t *testing.T) {
	body, _, err := o.Get(t.Context(), key, backend.Range{})
	require.NoError(t, err)
	var r record
	require.NoError(t, json.NewDecoder(body).Decode(&r))
	r.Nonce = rand.Text()
	data, err := json.Marshal(r)
	require.NoError(t, err)
	_, err = o.Store.Put(t.Context(), key, bytes.NewReader(data), int64(len(data)), backend.PutOptions{})
	require.NoError(t, err)
}

func TestConflictIsRetried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &fakeStore{Store: &memory.Store{}, put: func(n int, _ int64, c backend.Condition) (backend.Condition, error) {
			if n == 2 || n == 3 {
				return c, backend.ErrConflict
			}
			return c, nil
		}}
		held := acquire(t, &lease.Leases[string]{Store: store})
		require.NoError(t, held.Renew(t.Context()))
	})
}

func TestLeaseWithUnquotedETags(t *testing.T) {
	store := &fakeStore{Store: &memory.Store{}, put: bare}
	leases := &lease.Leases[string]{Store: store, IfMatch: lease.Support{Able: true, Unquoted: true}.IfMatch}
	held := acquire(t, leases)
	require.NoError(t, held.Renew(t.Context()))
	require.NoError(t, held.Release(t.Context()))
	held = acquire(t, leases)
	require.NoError(t, held.Remove(t.Context()))
	requireEmpty(t, store)
	assert.Equal(t, 5, store.puts, "no write was repeated")
}

func TestAbandonKeepsLeaseOfAnotherHolder(t *testing.T) {
	leases := &lease.Leases[string]{Store: &memory.Store{}}
	first := acquire(t, leases)
	require.NoError(t, first.Release(t.Context()))
	second := acquire(t, leases)
	require.NoError(t, first.Abandon(t.Context()))
	require.NoError(t, second.Renew(t.Context()))
}
