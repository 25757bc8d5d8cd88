package backendtest

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/hex"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/backend"
)

// content returns n random-looking bytes that depend on name only. AES makes them, since it is fast with the race detector too.
func content(name string, n int) []byte {
	key := sha256.Sum256([]byte(name))
	block, err := aes.NewCipher(key[:])
	if err != nil {
		panic(err) // the key has a valid length
	}
	b := make([]byte, n)
	cipher.NewCTR(block, make([]byte, aes.BlockSize)).XORKeyStream(b, b)
	return b
}

func sha(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// put stores data and checks the Object that Put returns.
func put(t testing.TB, s backend.Store, key string, data []byte, o backend.PutOptions) backend.Object {
	t.Helper()
	obj, err := s.Put(t.Context(), key, bytes.NewReader(data), int64(len(data)), o)
	require.NoError(t, err)
	require.Equal(t, key, obj.Key)
	require.EqualValues(t, len(data), obj.Size)
	require.NotEmpty(t, obj.ETag)
	require.False(t, obj.AsOf.IsZero(), "AsOf is zero")
	return obj
}

// get reads an object or a part of it.
func get(t testing.TB, s backend.Store, key string, r backend.Range) ([]byte, backend.Object) {
	t.Helper()
	body, obj, err := s.Get(t.Context(), key, r)
	require.NoError(t, err)
	var data bytes.Buffer
	data.Grow(int(obj.Size) + bytes.MinRead) // so that ReadFrom never copies
	_, err = data.ReadFrom(body)
	require.NoError(t, err)
	require.NoError(t, body.Close())
	return data.Bytes(), obj
}

// requireObject checks the object at key, without printing megabytes if it differs.
func requireObject(t testing.TB, s backend.Store, key string, data []byte) {
	t.Helper()
	got, obj := get(t, s, key, backend.Range{})
	require.EqualValues(t, len(data), obj.Size)
	require.True(t, bytes.Equal(data, got), "%s: %d bytes, not those expected", key, len(got))
}

// requireNothing checks that there is no object at key, and nothing left of an attempt to write one.
func requireNothing(t testing.TB, s backend.Store, key string) {
	t.Helper()
	_, err := s.Stat(t.Context(), key)
	require.ErrorIs(t, err, backend.ErrNotFound)
	_, _, err = s.Get(t.Context(), key, backend.Range{})
	require.ErrorIs(t, err, backend.ErrNotFound)
	for o, err := range s.List(t.Context(), key, "") {
		require.NoError(t, err)
		require.NotEqual(t, key, o.Key)
	}
	require.Empty(t, s.(inspector).Leftovers(t, key))
}

// keys returns the keys that a listing yields.
func keys(t testing.TB, s backend.Store, prefix, after string) []string {
	t.Helper()
	var found []string
	for o, err := range s.List(t.Context(), prefix, after) {
		require.NoError(t, err)
		found = append(found, o.Key)
	}
	return found
}
