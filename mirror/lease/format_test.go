package lease_test

import (
	"bytes"
	"encoding/json"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/backend/backendtest/memory"
	"github.com/entrepot-io/entrepot/mirror/lease"
)

func put(t *testing.T, store backend.Store, record string) {
	t.Helper()
	_, err := store.Put(t.Context(), key, bytes.NewReader([]byte(record)), int64(len(record)), backend.PutOptions{})
	require.NoError(t, err)
}

// A newer release's lease may be held, and this release cannot read whether it is released.
func TestNewerLeaseIsTakenOverOnlyAfterExpiry(t *testing.T) {
	for name, newer := range map[string]string{
		"held":        `{"format":2,"epoch":"E","state":{"size":5}}`,
		"released":    `{"format":2,"epoch":"E","released":"2026-01-01","state":"x"}`,
		"rearranged":  `{"holder":{"turn":[1]},"epoch":"E","format":2}`,
		"far version": `{"format":9223372036854775807,"epoch":"E"}`,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := new(memory.Store)
				leases := &lease.Leases[string]{Store: store}
				put(t, store, newer)
				held, record, err := leases.Acquire(t.Context(), key)
				require.NoError(t, err)
				require.Nil(t, held)
				assert.Equal(t, "E", record.Epoch)
				assert.Empty(t, record.State)

				time.Sleep(lease.TTL + 2*time.Second)
				held = acquire(t, leases)
				assert.Empty(t, held.State(), "the work starts over")
				assert.Equal(t, []string{"E"}, held.Before())
				require.NoError(t, held.Renew(t.Context()))
			})
		})
	}
}

func TestHolderLosesLeaseToNewerRelease(t *testing.T) {
	store := new(memory.Store)
	held := acquire(t, &lease.Leases[string]{Store: store})
	put(t, store, `{"format":2,"epoch":"E"}`)
	require.ErrorIs(t, held.Renew(t.Context()), lease.ErrLost)
	require.NoError(t, held.Abandon(t.Context()))
	_, err := store.Stat(t.Context(), key)
	require.NoError(t, err, "it belongs to the other holder")
}

func TestLeaseSaysItsFormat(t *testing.T) {
	store := new(memory.Store)
	leases := &lease.Leases[string]{Store: store}
	acquire(t, leases)
	body, object, err := store.Get(t.Context(), key, backend.Range{})
	require.NoError(t, err)
	data := make([]byte, object.Size)
	_, err = body.Read(data)
	require.NoError(t, err)
	var fields map[string]any
	require.NoError(t, json.Unmarshal(data, &fields))
	assert.EqualValues(t, 1, fields["format"])

	put(t, store, `{"epoch":"E","released":true,"state":"half"}`)
	assert.Equal(t, "half", acquire(t, leases).State(), "a missing format means 1")
}
