package backendtest

import (
	"bytes"
	"io"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/backend"
)

// overflow is more bytes than the buffers of a connection hold.
const overflow = 16 << 20

var getPromises = []promise{
	{name: "Get returns exactly the range", check: func(t *testing.T, s backend.Store) {
		data := content("ranges", 1000)
		whole := put(t, s, "dir/ranges", data, backend.PutOptions{ContentType: "text/plain"})
		for _, c := range []struct{ offset, length, end int64 }{
			{0, 0, 1000}, {0, 1, 1}, {0, 999, 999}, {0, 1000, 1000}, {0, 1001, 1000}, {0, math.MaxInt64, 1000},
			{1, 0, 1000}, {1, 1, 2}, {500, 100, 600}, {500, 500, 1000}, {500, 501, 1000}, {500, math.MaxInt64, 1000},
			{999, 0, 1000}, {999, 1, 1000}, {999, 2, 1000},
		} {
			got, o := get(t, s, "dir/ranges", backend.Range{Offset: c.offset, Length: c.length})
			require.Equal(t, data[c.offset:c.end], got, "offset %d, length %d", c.offset, c.length)
			require.EqualValues(t, 1000, o.Size, "size of the whole object")
			require.Equal(t, whole.ETag, o.ETag)
			require.Equal(t, "text/plain", o.ContentType)
		}
	}},
	{name: "a range outside of the object is ErrRange", check: func(t *testing.T, s backend.Store) {
		put(t, s, "dir/ranges", content("ranges", 1000), backend.PutOptions{})
		for _, r := range []backend.Range{
			{Offset: 1000}, {Offset: 1000, Length: 1}, {Offset: 1001, Length: 5}, {Offset: 1 << 40}, {Offset: math.MaxInt64},
			{Offset: math.MaxInt64, Length: math.MaxInt64}, {Offset: -1}, {Length: -1}, {Offset: 5, Length: -2},
		} {
			_, _, err := s.Get(t.Context(), "dir/ranges", r)
			require.ErrorIs(t, err, backend.ErrRange, "%+v", r)
		}
	}},
	{name: "an empty object has no ranges", check: func(t *testing.T, s backend.Store) {
		put(t, s, "dir/empty", nil, backend.PutOptions{})
		got, o := get(t, s, "dir/empty", backend.Range{})
		require.Empty(t, got)
		require.Zero(t, o.Size)
		for _, r := range []backend.Range{{Length: 1}, {Offset: 1}, {Offset: 1, Length: 1}} {
			_, _, err := s.Get(t.Context(), "dir/empty", r)
			require.ErrorIs(t, err, backend.ErrRange, "%+v", r)
		}
	}},
	{name: "a missing object is ErrNotFound", check: func(t *testing.T, s backend.Store) {
		put(t, s, "dir/there", []byte("x"), backend.PutOptions{})
		for _, key := range []string{"missing", "dir", "dir/missing", "dir/there/below", "dir/ther", "dir/there2"} {
			requireNothing(t, s, key)
			_, _, err := s.Get(t.Context(), key, backend.Range{Offset: 5, Length: 5})
			require.ErrorIs(t, err, backend.ErrNotFound)
		}
	}},
	{name: "a reader can be closed early and repeatedly", check: func(t *testing.T, s backend.Store) {
		data := content("early", PartSize)
		put(t, s, "dir/early", data, backend.PutOptions{})
		for range 20 {
			body, _, err := s.Get(t.Context(), "dir/early", backend.Range{})
			require.NoError(t, err)
			_, err = io.ReadFull(body, make([]byte, 100))
			require.NoError(t, err)
			require.NoError(t, body.Close())
		}
		requireObject(t, s, "dir/early", data)
	}},
	{name: "an object replaced during a read is no mixture", check: func(t *testing.T, s backend.Store) {
		old, now := content("old", overflow), content("new", overflow)
		put(t, s, "dir/replaced", old, backend.PutOptions{})
		body, _, err := s.Get(t.Context(), "dir/replaced", backend.Range{})
		require.NoError(t, err)
		defer body.Close()
		got := make([]byte, 1<<20)
		_, err = io.ReadFull(body, got)
		require.NoError(t, err)

		replaced := make(chan error, 1) // a store may make the writer wait for the reader
		go func() {
			_, err := s.Put(t.Context(), "dir/replaced", bytes.NewReader(now), int64(len(now)), backend.PutOptions{})
			replaced <- err
		}()
		rest, err := io.ReadAll(body)
		if err == nil {
			require.True(t, bytes.Equal(old, append(got, rest...)), "a complete read mixes versions")
		}
		require.NoError(t, <-replaced)
		requireObject(t, s, "dir/replaced", now)
	}},
	{name: "a read of a deleted object is whole or fails", check: func(t *testing.T, s backend.Store) {
		data := content("deleted", overflow)
		put(t, s, "dir/deleted", data, backend.PutOptions{})
		body, _, err := s.Get(t.Context(), "dir/deleted", backend.Range{})
		require.NoError(t, err)
		defer body.Close()
		deleted := make(chan error, 1)
		go func() { deleted <- s.Delete(t.Context(), "dir/deleted") }()
		got, err := io.ReadAll(body)
		if err == nil {
			require.True(t, bytes.Equal(data, got))
		}
		require.NoError(t, <-deleted)
		requireNothing(t, s, "dir/deleted")
	}},
}
