package lease_test

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/backend/backendtest/memory"
	"github.com/entrepot-io/entrepot/mirror/lease"
)

// FuzzDecodeRecord reads leases with any content, and takes them over if they are free.
func FuzzDecodeRecord(f *testing.F) {
	for _, data := range []string{
		"", "null", "{}", "[]", `{"epoch":"E","turn":1,"nonce":"N","state":{"size":5}}`,
		`{"epoch":"E","turn":2,"nonce":"N","released":true,"before":["D"],"state":{"size":5,"stored":["x"]}}`,
		`{"epoch":"E","turn":-9223372036854775808,"released":true,"before":null,"state":null}`, `{"epoch":"E","state":{"size":"x"}}`,
		`{"released":true,"state":{"size":5}}`, "\xff\x00",
	} {
		f.Add([]byte(data))
	}
	type state struct {
		Size   int64    `json:"size"`
		Stored []string `json:"stored"`
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		store := &memory.Store{}
		_, err := store.Put(t.Context(), key, bytes.NewReader(data), int64(len(data)), backend.PutOptions{})
		require.NoError(t, err)
		leases := &lease.Leases[state]{Store: store}
		record, free, err := leases.Get(t.Context(), key)
		require.NoError(t, err)
		require.Equal(t, record.Released, free, "it was just written")
		if record.Epoch == "" {
			require.Equal(t, lease.Record[state]{Released: true}, record, "unreadable")
		}
		held, other, err := leases.Acquire(t.Context(), key)
		require.NoError(t, err)
		if !free {
			require.Nil(t, held)
			require.Equal(t, record, other)
			return
		}
		require.NotNil(t, held)
		require.Equal(t, record.State, held.State())
		require.NotEqual(t, record.Epoch, held.Epoch())
		require.NotContains(t, held.Before(), "")
		require.NoError(t, held.Renew(t.Context()))
		again, free, err := leases.Get(t.Context(), key)
		require.NoError(t, err)
		require.False(t, free)
		require.Equal(t, held.State(), again.State)
	})
}
