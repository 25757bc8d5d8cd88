package lease_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/mirror/lease"
)

func TestIfMatchOfEmptyETagIsACondition(t *testing.T) {
	for _, support := range []lease.Support{{Able: true}, {Able: true, Unquoted: true}} {
		for _, etag := range []backend.ETag{"", `""`} {
			require.NotEqual(t, backend.Condition{}, support.IfMatch(etag), "%+v, %q", support, etag)
		}
	}
}
