package backend_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/backend"
)

func TestETagOfQuotesAloneIsEmpty(t *testing.T) {
	for _, etag := range []backend.ETag{"", `""`, `"`, " ", `W/""`} {
		require.True(t, etag.Empty(), "%q", etag)
		require.NotEqual(t, backend.Condition{}, backend.IfMatch(etag), "%q", etag)
		require.True(t, backend.IfMatch(etag).IfMatch.Empty())
	}
	for _, etag := range []backend.ETag{"a", `"a"`, `W/"a"`, "W"} {
		require.False(t, etag.Empty(), "%q", etag)
		require.Equal(t, backend.Condition{IfMatch: etag}, backend.IfMatch(etag))
	}
}
