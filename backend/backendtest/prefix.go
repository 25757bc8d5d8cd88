package backendtest

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/backend"
)

// Prefix checks two stores in one bucket: whole, and part, which is confined to a prefix of it.
func Prefix(t *testing.T, whole, part backend.Store, prefix string) {
	put(t, part, "a/b", []byte("x"), backend.PutOptions{})
	put(t, whole, prefix+"/c", []byte("y"), backend.PutOptions{})
	put(t, whole, prefix+"-beside/d", []byte("z"), backend.PutOptions{})
	requireObject(t, whole, prefix+"/a/b", []byte("x"))
	requireObject(t, part, "c", []byte("y"))
	require.Equal(t, []string{"a/b", "c"}, keys(t, part, "", ""))
	require.Equal(t, []string{prefix + "-beside/d", prefix + "/a/b", prefix + "/c"}, keys(t, whole, prefix, ""))
	require.Equal(t, []string{"c"}, keys(t, part, "", "a/b"))
	require.NoError(t, part.Delete(t.Context(), "a/b"))
	requireNothing(t, whole, prefix+"/a/b")
}
