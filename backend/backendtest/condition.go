package backendtest

import (
	"bytes"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/backend"
)

var (
	ifAbsent = backend.PutOptions{Condition: backend.Condition{IfAbsent: true}}
	sizes    = []int{100, PartSize + 100} // in one request and in parts
)

func ifMatch(tag backend.ETag) backend.PutOptions {
	return backend.PutOptions{Condition: backend.Condition{IfMatch: tag}}
}

// requireRefused checks that a conditional write of size bytes fails without effect.
func requireRefused(t *testing.T, s backend.Store, key string, size int, o backend.PutOptions) {
	t.Helper()
	_, err := s.Put(t.Context(), key, bytes.NewReader(content("refused", size)), int64(size), o)
	require.ErrorIs(t, err, backend.ErrPrecondition)
	require.Empty(t, s.(inspector).Leftovers(t, key))
}

var conditionPromises = []promise{
	{name: "IfAbsent writes only if there is no object", check: func(t *testing.T, s backend.Store) {
		for _, size := range sizes {
			data := content("first", size)
			put(t, s, "dir/absent", data, ifAbsent)
			requireRefused(t, s, "dir/absent", size, ifAbsent)
			requireRefused(t, s, "dir/absent", 10, ifAbsent)
			requireObject(t, s, "dir/absent", data)
			require.NoError(t, s.Delete(t.Context(), "dir/absent"))
			put(t, s, "dir/absent", data, ifAbsent)
			require.NoError(t, s.Delete(t.Context(), "dir/absent"))
		}
	}},
	{name: "IfMatch writes only over its version", check: func(t *testing.T, s backend.Store) {
		for _, size := range sizes {
			first := put(t, s, "dir/match", content("first", size), backend.PutOptions{})
			second := put(t, s, "dir/match", content("second", size), ifMatch(first.ETag))
			require.NotEqual(t, first.ETag, second.ETag)
			requireRefused(t, s, "dir/match", size, ifMatch(first.ETag))
			requireObject(t, s, "dir/match", content("second", size))

			// The ETags of Stat and List work too.
			stat, err := s.Stat(t.Context(), "dir/match")
			require.NoError(t, err)
			put(t, s, "dir/match", content("third", size), ifMatch(stat.ETag))
			for o, err := range s.List(t.Context(), "dir/match", "") {
				require.NoError(t, err)
				put(t, s, "dir/match", content("fourth", size), ifMatch(o.ETag))
			}
			requireObject(t, s, "dir/match", content("fourth", size))
		}
	}},
	{name: "IfMatch with an empty ETag is never met", check: func(t *testing.T, s backend.Store) {
		for _, etag := range []backend.ETag{`""`, `"`, `W/""`} {
			for _, size := range append(sizes, 0) {
				data := content("kept", size)
				kept := put(t, s, "dir/kept", data, backend.PutOptions{})
				requireRefused(t, s, "dir/kept", size, ifMatch(etag))
				requireRefused(t, s, "dir/none", size, ifMatch(etag))
				requireNothing(t, s, "dir/none")
				if _, ok := s.(backend.Composer); ok {
					_, err := compose(t.Context(), s, "dir/kept", []backend.Object{kept}, ifMatch(etag))
					require.ErrorIs(t, err, backend.ErrPrecondition)
				}
				requireObject(t, s, "dir/kept", data)
			}
		}
	}},
	{name: "IfMatch does not write if there is no object", check: func(t *testing.T, s backend.Store) {
		for _, size := range sizes {
			gone := put(t, s, "dir/gone", content("gone", size), backend.PutOptions{})
			require.NoError(t, s.Delete(t.Context(), "dir/gone"))
			requireRefused(t, s, "dir/gone", size, ifMatch(gone.ETag))
			requireNothing(t, s, "dir/gone")
		}
	}},
	{name: "one of several IfAbsent writers wins", check: func(t *testing.T, s backend.Store) {
		race(t, s, "dir/absent", 32, 100, ifAbsent)
		race(t, s, "dir/absent-large", 4, PartSize+100, ifAbsent)
	}},
	{name: "one of several IfMatch writers wins", check: func(t *testing.T, s backend.Store) {
		for round := range 3 {
			key := fmt.Sprintf("dir/match-%d", round)
			race(t, s, key, 32, 100, ifMatch(put(t, s, key, []byte("first"), backend.PutOptions{}).ETag))
		}
		large := put(t, s, "dir/match-large", []byte("first"), backend.PutOptions{})
		race(t, s, "dir/match-large", 4, PartSize+100, ifMatch(large.ETag))
	}},
}

// race makes several writers put different objects on the same condition, and checks that exactly one succeeds.
func race(t *testing.T, s backend.Store, key string, writers, size int, o backend.PutOptions) {
	t.Helper()
	var (
		start  = make(chan struct{})
		all    sync.WaitGroup
		winner atomic.Pointer[backend.Object]
		data   atomic.Pointer[[]byte]
	)
	for i := range writers {
		mine := content(fmt.Sprint("writer ", i), size)
		all.Go(func() {
			<-start
			obj, err := s.Put(t.Context(), key, bytes.NewReader(mine), int64(size), o)
			switch {
			case err == nil:
				assert.Nil(t, winner.Swap(&obj), "two writers won")
				data.Store(&mine)
			case !errors.Is(err, backend.ErrPrecondition):
				assert.NoError(t, err)
			}
		})
	}
	close(start)
	all.Wait()
	require.NotNil(t, winner.Load(), "no writer won")
	requireObject(t, s, key, *data.Load())
	stat, err := s.Stat(t.Context(), key)
	require.NoError(t, err)
	require.Equal(t, winner.Load().ETag, stat.ETag)
	require.Empty(t, s.(inspector).Leftovers(t, key))
}
