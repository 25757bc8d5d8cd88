package backendtest

import (
	"bytes"
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/backend"
)

var contextPromises = []promise{
	{name: "nothing is done with a canceled context", check: func(t *testing.T, s backend.Store) {
		part := put(t, s, "dir/there", []byte("x"), backend.PutOptions{})
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, _, err := s.Get(ctx, "dir/there", backend.Range{})
		require.ErrorIs(t, err, context.Canceled, "get")
		_, err = s.Stat(ctx, "dir/there")
		require.ErrorIs(t, err, context.Canceled, "stat")
		_, err = s.Put(ctx, "dir/new", bytes.NewReader(nil), 0, backend.PutOptions{})
		require.ErrorIs(t, err, context.Canceled, "put")
		require.ErrorIs(t, s.Delete(ctx, "dir/there"), context.Canceled, "delete")
		var last error
		for _, err := range s.List(ctx, "", "") {
			last = err
		}
		require.ErrorIs(t, last, context.Canceled, "list")
		if c, ok := s.(backend.Composer); ok {
			_, err = c.Compose(ctx, "dir/new", []backend.Object{part}, backend.PutOptions{})
			require.ErrorIs(t, err, context.Canceled, "compose")
		}
		requireNothing(t, s, "dir/new")
		requireObject(t, s, "dir/there", []byte("x"))
	}},
	{name: "a canceled Put leaves nothing", once: true, check: func(t *testing.T, s backend.Store) {
		for _, size := range []int{PartSize, 2*PartSize + 100} {
			for _, stop := range []int{1, size / 2} {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				body := &until{Reader: stream{t, bytes.NewReader(content("canceled", size))}, left: stop, cancel: cancel}
				_, err := s.Put(ctx, "dir/off", body, int64(size), backend.PutOptions{})
				require.ErrorIs(t, err, context.Canceled, "after %d of %d bytes", stop, size)
				requireNothing(t, s, "dir/off")
			}
		}
	}},
}
