package mirror_test

import (
	"context"
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/backend/backendtest/memory"
	"github.com/entrepot-io/entrepot/upstream/upstreamtest"
)

// noWrites is a store that refuses writes with a reason, unless it is nil.
type noWrites struct {
	*memory.Store
	reason error
}

func (s *noWrites) Put(ctx context.Context, key string, body io.Reader, size int64, o backend.PutOptions) (backend.Object, error) {
	if s.reason != nil {
		return backend.Object{}, s.reason
	}
	return s.Store.Put(ctx, key, body, size, o)
}

func TestUnwritableStoreIsReadyWithComplaint(t *testing.T) {
	for name, reason := range map[string]error{
		"full": backend.ErrFull, "read-only": backend.ErrReadOnly, "writes fail": errReset,
	} {
		t.Run(name, func(t *testing.T) {
			store := &noWrites{Store: &memory.Store{}, reason: reason}
			m := startReplica(t, store, upstreamtest.Start(t, upstreamtest.Options{}))
			complaint, err := m.Ready(t.Context())
			require.NoError(t, err)
			require.Contains(t, complaint, "the store takes no writes: "+reason.Error())
			store.reason = nil
			complaint, err = m.Ready(t.Context())
			require.NoError(t, err)
			require.NotContains(t, complaint, "the store takes no writes")
		})
	}
	t.Run("denied", func(t *testing.T) {
		m := startReplica(t, &noWrites{Store: &memory.Store{}, reason: backend.ErrDenied}, upstreamtest.Start(t, upstreamtest.Options{}))
		_, err := m.Ready(t.Context())
		require.ErrorIs(t, err, backend.ErrDenied)
	})
}
