package backendtest

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/backend"
)

var deletePromises = []promise{
	{name: "Delete removes only its object", check: func(t *testing.T, s backend.Store) {
		for _, key := range []string{"a/b/c", "a/b/d", "a/b-c"} {
			put(t, s, key, []byte(key), backend.PutOptions{})
		}
		require.NoError(t, s.Delete(t.Context(), "a/b/c"))
		requireNothing(t, s, "a/b/c")
		require.Equal(t, []string{"a/b-c", "a/b/d"}, keys(t, s, "", ""))
		require.NoError(t, s.Delete(t.Context(), "a/b/d"))
		require.NoError(t, s.Delete(t.Context(), "a/b-c"))
		require.Empty(t, keys(t, s, "", ""))
		put(t, s, "a/b/c", []byte("again"), backend.PutOptions{})
		requireObject(t, s, "a/b/c", []byte("again"))
	}},
	{name: "deleting a missing object is no error", check: func(t *testing.T, s backend.Store) {
		put(t, s, "dir/there", []byte("x"), backend.PutOptions{})
		for _, key := range []string{"missing", "missing/below", "dir", "dir/missing", "dir/there/below"} {
			require.NoError(t, s.Delete(t.Context(), key), key)
		}
		requireObject(t, s, "dir/there", []byte("x"))
	}},
}
