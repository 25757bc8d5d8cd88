package backendtest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/backend"
)

var sweepPromises = []promise{
	{name: "Sweep removes only unfinished writes to its key", check: func(t *testing.T, s backend.Store) {
		sweeper, abandon := s.(backend.Sweeper), s.(abandoner).Abandon
		left := func(key string) []string { return s.(inspector).Leftovers(t, key) }
		data := content("there", 1000)
		put(t, s, "blobs/x y:0", data, backend.PutOptions{})
		require.NoError(t, sweeper.Sweep(t.Context(), "blobs/x y:0"), "nothing to sweep")
		for _, key := range []string{"blobs/x y:0", "blobs/x y:0", "blobs/x y:01", "blobs/none"} {
			abandon(t, key)
		}
		require.Len(t, left("blobs/x y:0"), 2)
		require.NoError(t, sweeper.Sweep(t.Context(), "blobs/x y:0"))
		require.Empty(t, left("blobs/x y:0"))
		requireObject(t, s, "blobs/x y:0", data)
		require.Len(t, left("blobs/x y:01"), 1, "a longer key")
		require.NoError(t, sweeper.Sweep(t.Context(), "blobs/none"))
		require.Empty(t, left("blobs/none"))
		requireNothing(t, s, "blobs/none")
		require.ErrorIs(t, sweeper.Sweep(t.Context(), "a//b"), backend.ErrKey)
	}},
	{name: "ExpireUploads removes old unfinished writes", check: func(t *testing.T, s backend.Store) {
		expirer, abandon := s.(backend.UploadExpirer), s.(abandoner).Abandon
		left := func(key string) int { return len(s.(inspector).Leftovers(t, key)) }
		for _, key := range []string{"public/x y:0", "public/x", "other/x"} {
			abandon(t, key)
		}
		expire := func(prefix string, age time.Duration) int {
			n, err := expirer.ExpireUploads(t.Context(), prefix, time.Now().Add(-age))
			require.NoError(t, err)
			return n
		}
		require.Zero(t, expire("public/", time.Hour), "young ones")
		require.Equal(t, 1, left("public/x"))
		n := expire("public/", -time.Hour)
		if n == 0 {
			require.Equal(t, 1, left("public/x"), "a server that lists uploads only by their key")
			return
		}
		require.Equal(t, 2, n)
		require.Zero(t, left("public/x"))
		require.Zero(t, left("public/x y:0"))
		require.Equal(t, 1, left("other/x"))
		_, err := expirer.ExpireUploads(t.Context(), "a//b/", time.Now())
		require.ErrorIs(t, err, backend.ErrKey)
	}},
}
