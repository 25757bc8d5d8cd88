package lease_test

import (
	"context"
	"io"
	"net"
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

// unreachable is a store that fails all calls while it is away, and at other times reads that fails selects.
type unreachable struct {
	*memory.Store
	away  bool
	fails func(key string) bool // nil: none
}

var errAway error = &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}

func (s *unreachable) Get(ctx context.Context, key string, r backend.Range) (io.ReadCloser, backend.Object, error) {
	if s.away || s.fails != nil && s.fails(key) {
		return nil, backend.Object{}, errAway
	}
	return s.Store.Get(ctx, key, r)
}

func (s *unreachable) Put(ctx context.Context, key string, body io.Reader, size int64, o backend.PutOptions) (backend.Object, error) {
	if s.away {
		return backend.Object{}, errAway
	}
	return s.Store.Put(ctx, key, body, size, o)
}

// A replica that could not reach the store assumes that the holder could not either, and gives it time to renew.
func TestNoTakeOverRightAfterOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &unreachable{Store: &memory.Store{}}
		held := acquire(t, &lease.Leases[string]{Store: store})
		other := &lease.Leases[string]{Store: store}
		isFree := func() bool {
			_, free, err := other.Get(t.Context(), key)
			require.NoError(t, err)
			return free
		}

		store.away = true
		time.Sleep(lease.TTL + 2*time.Second)
		_, _, err := other.Get(t.Context(), key)
		require.Error(t, err)
		store.away = false
		assert.False(t, isFree(), "the holder is about to renew it")
		taken, _, err := other.Acquire(t.Context(), key)
		require.NoError(t, err)
		assert.Nil(t, taken)
		require.NoError(t, held.Renew(t.Context()))

		store.away = true
		time.Sleep(lease.TTL + 2*time.Second)
		_, _, err = other.Get(t.Context(), key)
		require.Error(t, err)
		store.away = false
		time.Sleep(4 * time.Second)
		assert.True(t, isFree(), "the holder had time to renew")
	})
}

// A holder seldom reads, so it must notice an outage by its writes.
func TestOutageIsNoticedByWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &unreachable{Store: &memory.Store{}}
		acquire(t, &lease.Leases[string]{Store: store})
		leases := &lease.Leases[string]{Store: store}
		mine, _, err := leases.Acquire(t.Context(), "fills/mine/lease")
		require.NoError(t, err)
		store.away = true
		for range 2 {
			time.Sleep(lease.Renew + time.Second)
			require.ErrorIs(t, mine.Renew(t.Context()), errAway)
		}
		store.away = false
		_, free, err := leases.Get(t.Context(), key)
		require.NoError(t, err)
		assert.False(t, free, "its holder is about to renew it")
		time.Sleep(4 * time.Second)
		_, free, err = leases.Get(t.Context(), key)
		require.NoError(t, err)
		assert.True(t, free)
	})
}

func TestOneUnreadableKeyIsNoOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &unreachable{Store: &memory.Store{}, fails: func(k string) bool { return k != key }}
		leases := &lease.Leases[string]{Store: store}
		acquire(t, leases)
		free := false
		for began := time.Now(); !free; {
			require.Less(t, time.Since(began), lease.TTL+3*time.Second)
			for range 10 { // another caller keeps trying
				_, _, err := leases.Get(t.Context(), "fills/bad/lease")
				require.ErrorIs(t, err, errAway)
				time.Sleep(100 * time.Millisecond)
			}
			var err error
			_, free, err = leases.Get(t.Context(), key)
			require.NoError(t, err)
		}
		held, _, err := leases.Acquire(t.Context(), key)
		require.NoError(t, err)
		require.NotNil(t, held)
	})
}

func TestShortFailureIsNoOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &unreachable{Store: &memory.Store{}}
		leases := &lease.Leases[string]{Store: store}
		acquire(t, leases)
		time.Sleep(lease.TTL)
		_, _, err := leases.Get(t.Context(), key)
		require.NoError(t, err)
		store.away = true
		time.Sleep(2 * time.Second)
		_, _, err = leases.Get(t.Context(), key)
		require.ErrorIs(t, err, errAway)
		store.away = false
		_, free, err := leases.Get(t.Context(), key)
		require.NoError(t, err)
		assert.True(t, free, "its holder would have renewed it twice")
	})
}
