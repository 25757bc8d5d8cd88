package backendtest

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/backend"
)

// parts stores objects to compose, of PartSize except for the last, and returns them with their concatenation.
func parts(t *testing.T, s backend.Store, n, last int) (objects []backend.Object, whole []byte) {
	t.Helper()
	for i := range n {
		size := PartSize
		if i == n-1 {
			size = last
		}
		data := content(fmt.Sprint("part ", i), size)
		objects = append(objects, put(t, s, fmt.Sprintf("fills/x y:%d", i), data, backend.PutOptions{}))
		whole = append(whole, data...)
	}
	return objects, whole
}

func compose(ctx context.Context, s backend.Store, key string, parts []backend.Object, o backend.PutOptions) (backend.Object, error) {
	return s.(backend.Composer).Compose(ctx, key, parts, o)
}

var composePromises = []promise{
	{name: "the object is the concatenation of the parts", check: func(t *testing.T, s backend.Store) {
		objects, want := parts(t, s, 3, 1000)
		o := backend.PutOptions{ContentType: "text/plain", Metadata: map[string]string{"a": "b"}}
		made, err := compose(t.Context(), s, "blobs/whole", objects, o)
		require.NoError(t, err)
		require.False(t, made.AsOf.IsZero(), "AsOf is zero")
		requireObject(t, s, "blobs/whole", want)

		found, err := s.Stat(t.Context(), "blobs/whole")
		require.NoError(t, err)
		made.AsOf, made.Modified = found.AsOf, found.Modified
		require.Equal(t, found, made)

		// Again, in reverse order and with parts of the same size.
		twice := []backend.Object{objects[1], objects[0], objects[1]}
		_, err = compose(t.Context(), s, "blobs/whole", twice, backend.PutOptions{})
		require.NoError(t, err)
		requireObject(t, s, "blobs/whole", slices.Concat(want[PartSize:2*PartSize], want[:PartSize], want[PartSize:2*PartSize]))

		for i, p := range objects {
			requireObject(t, s, p.Key, content(fmt.Sprint("part ", i), int(p.Size))) // the parts remain
		}
		require.Empty(t, s.(inspector).Leftovers(t, "blobs/whole"))
	}},
	{name: "a single part may be small or empty", check: func(t *testing.T, s backend.Store) {
		for _, size := range []int{PartSize + 1, 1, 0} {
			objects, want := parts(t, s, 1, size)
			_, err := compose(t.Context(), s, "blobs/one", objects, backend.PutOptions{})
			require.NoError(t, err, "%d bytes", size)
			requireObject(t, s, "blobs/one", want)
		}
	}},
	{name: "parts may be put as streams or in parts", once: true, check: func(t *testing.T, s backend.Store) {
		data := content("large part", 2*PartSize+10)
		first, err := s.Put(t.Context(), "fills/0", stream{t, bytes.NewReader(data)}, int64(len(data)), backend.PutOptions{})
		require.NoError(t, err)
		second := put(t, s, "fills/1", []byte("end"), backend.PutOptions{SHA256: sha([]byte("end"))})
		_, err = compose(t.Context(), s, "blobs/mixed", []backend.Object{first, second}, backend.PutOptions{})
		require.NoError(t, err)
		requireObject(t, s, "blobs/mixed", append(data, "end"...))
	}},
	{name: "a missing part is an error", check: func(t *testing.T, s backend.Store) {
		objects, _ := parts(t, s, 3, 1000)
		require.NoError(t, s.Delete(t.Context(), objects[1].Key))
		_, err := compose(t.Context(), s, "blobs/whole", objects, backend.PutOptions{})
		require.ErrorIs(t, err, backend.ErrNotFound)
		requireNothing(t, s, "blobs/whole")
	}},
	{name: "a changed part is an error", check: func(t *testing.T, s backend.Store) {
		objects, _ := parts(t, s, 3, 1000)
		for i, p := range objects {
			put(t, s, p.Key, content("changed", int(p.Size)), backend.PutOptions{})
			_, err := compose(t.Context(), s, "blobs/whole", objects, backend.PutOptions{})
			require.ErrorIs(t, err, backend.ErrPrecondition)
			requireNothing(t, s, "blobs/whole")
			objects[i] = put(t, s, p.Key, content("restored", int(p.Size)), backend.PutOptions{})
		}
	}},
	{name: "a part with an empty ETag is an error", check: func(t *testing.T, s backend.Store) {
		for _, etag := range []backend.ETag{"", `""`} {
			objects, _ := parts(t, s, 2, 1000)
			objects[1].ETag = etag
			_, err := compose(t.Context(), s, "blobs/whole", objects, backend.PutOptions{})
			require.ErrorIs(t, err, backend.ErrPrecondition, "%q", etag)
			requireNothing(t, s, "blobs/whole")
		}
	}},
	{name: "the condition applies to the object at the key", check: func(t *testing.T, s backend.Store) {
		objects, want := parts(t, s, 2, 1000)
		there := put(t, s, "blobs/whole", []byte("there"), backend.PutOptions{})
		_, err := compose(t.Context(), s, "blobs/whole", objects, ifAbsent)
		require.ErrorIs(t, err, backend.ErrPrecondition)
		_, err = compose(t.Context(), s, "blobs/whole", objects, ifMatch(objects[0].ETag))
		require.ErrorIs(t, err, backend.ErrPrecondition)
		requireObject(t, s, "blobs/whole", []byte("there"))
		require.Empty(t, s.(inspector).Leftovers(t, "blobs/whole"))

		_, err = compose(t.Context(), s, "blobs/whole", objects, ifMatch(there.ETag))
		require.NoError(t, err)
		requireObject(t, s, "blobs/whole", want)
		require.NoError(t, s.Delete(t.Context(), "blobs/whole"))
		_, err = compose(t.Context(), s, "blobs/whole", objects, ifMatch(there.ETag))
		require.ErrorIs(t, err, backend.ErrPrecondition)
		requireNothing(t, s, "blobs/whole")
		_, err = compose(t.Context(), s, "blobs/whole", objects, ifAbsent)
		require.NoError(t, err)
		requireObject(t, s, "blobs/whole", want)
	}},
}
