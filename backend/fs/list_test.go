package fs_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/backend/fs"
)

func TestLargeFoldersAreListedInOrder(t *testing.T) { // not parallel: the limit is global
	defer fs.LimitNames(4)()
	s, err := fs.Open(t.TempDir())
	require.NoError(t, err)
	var keys []string
	random := rand.New(rand.NewPCG(1, 2))
	for i := range 60 {
		key := fmt.Sprintf("a/%c%c", 'a'+random.IntN(8), 'a'+random.IntN(8))
		if random.IntN(3) == 0 {
			key += fmt.Sprintf("-b/%d", i) // a folder that sorts between objects
		}
		if slices.Contains(keys, key) {
			continue
		}
		keys = append(keys, key)
		_, err := s.Put(t.Context(), key, bytes.NewReader(nil), 0, backend.PutOptions{})
		require.NoError(t, err)
	}
	slices.Sort(keys)
	for _, after := range append([]string{""}, keys...) {
		want := keys
		if after != "" {
			want = keys[slices.Index(keys, after)+1:]
		}
		var listed []string
		for o, err := range s.List(t.Context(), "a/", after) {
			require.NoError(t, err)
			listed = append(listed, o.Key)
		}
		require.Len(t, listed, len(want), "after %q", after)
		for i := range want {
			require.Equal(t, want[i], listed[i], "after %q", after)
		}
	}
}
