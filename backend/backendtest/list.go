package backendtest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/entrepot-io/entrepot/backend"
)

// fillStore puts an empty object at each key.
func fillStore(t *testing.T, s backend.Store, keys []string) {
	t.Helper()
	puts, ctx := errgroup.WithContext(t.Context())
	puts.SetLimit(16)
	for _, key := range keys {
		puts.Go(func() error {
			_, err := s.Put(ctx, key, strings.NewReader(""), 0, backend.PutOptions{})
			return err
		})
	}
	require.NoError(t, puts.Wait())
}

var listPromises = []promise{
	{name: "List yields keys with the prefix in order", check: func(t *testing.T, s backend.Store) {
		all := []string{
			"A", "B/a", "a!b", "a-b", "a.b/c", "a/-", "a/b", "a/b-c", "a/c/d", "a/c/d-e", "a/c-", "a/c0", "a0", "a0/b",
			"ab/c", "b b/c d", "b+b", "b%2Fb", "ü/ö", "日本", "z/z/z/z/z/z", "~", "x:y/z:sha256", "&<>\"'",
		}
		// Not "a0" and "a0/b": a key should not be the folder of another.
		all = slices.DeleteFunc(all, func(k string) bool { return k == "a0" })
		fillStore(t, s, all)
		slices.Sort(all)
		prefixes := []string{"", "a", "a/", "a/b", "a/c", "a/c/", "a-", "b", "ü", "日", "z/z/z", "zz", "a//", "/", "..", "../", ".", "a/../a/"}
		for _, prefix := range prefixes {
			for _, after := range append([]string{"", "!", "a", "a/", "a/c/", "a/c/zz", "b", "z/z/", "\U0010ffff"}, all...) {
				var want []string
				for _, key := range all {
					if strings.HasPrefix(key, prefix) && key > after {
						want = append(want, key)
					}
				}
				// A few hundred of all pairs are enough.
				if after != "" && prefix != "" && !strings.HasPrefix(after, "a/") {
					continue
				}
				require.Equal(t, want, keys(t, s, prefix, after), "prefix %q, after %q", prefix, after)
			}
		}
	}},
	{name: "List yields more than a thousand objects", check: func(t *testing.T, s backend.Store) {
		var all []string
		for i := range 1005 {
			all = append(all, fmt.Sprintf("many/%d/%d", i%7, i))
		}
		fillStore(t, s, all)
		slices.Sort(all)
		require.Equal(t, all, keys(t, s, "many/", ""))
		require.Equal(t, all[1002:], keys(t, s, "", all[1001]))

		// A consumer may stop and continue later.
		var some []string
		for o, err := range s.List(t.Context(), "many/", "") {
			require.NoError(t, err)
			if some = append(some, o.Key); len(some) == 500 {
				break
			}
		}
		require.Equal(t, all, append(some, keys(t, s, "many/", some[499])...))

		// A canceled listing must not look complete.
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		seen := 0
		var last error
		for _, err := range s.List(ctx, "many/", "") {
			if last = err; err != nil {
				break
			}
			seen++
			cancel()
		}
		require.ErrorIs(t, last, context.Canceled)
		require.Less(t, seen, 1005)
	}},
	{name: "an empty store has an empty listing", check: func(t *testing.T, s backend.Store) {
		require.Empty(t, keys(t, s, "", ""))
		require.Empty(t, keys(t, s, "any/", "any/thing"))
	}},
}
