package backend_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/backend"
)

// backendtest checks CheckKey on every store.

func TestCanPrefix(t *testing.T) {
	for _, prefix := range []string{"", "a", "a/", "a/b", "a/..b", "ü/"} {
		require.True(t, backend.CanPrefix(prefix), prefix)
	}
	for _, prefix := range []string{"/", "a//", "//", "..", "../", "a/..", "a/./", `a\`, "a\n", " "} {
		require.False(t, backend.CanPrefix(prefix), prefix)
	}
}
