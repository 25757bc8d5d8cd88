package landing

import (
	"slices"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/mirror/fill/growing"
	"github.com/entrepot-io/entrepot/mirror/layout"
)

func TestBlobListsTheSegmentsItWasComposedOf(t *testing.T) {
	parts := func(epochs []string) (parts []backend.Object) {
		for n, epoch := range epochs {
			parts = append(parts, backend.Object{Key: layout.Public.Segment(digest.FromString("x"), n, epoch)})
		}
		return parts
	}
	a, b := "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "BCDEFGHIJKLMNOPQRSTUVWXYZA"
	for _, epochs := range [][]string{{a}, {a, a, a}, {a, b, b, a}, slices.Repeat([]string{a}, growing.MaxSegments), slices.Repeat([]string{a, b}, 20)} {
		list := composition(parts(epochs))
		assert.LessOrEqual(t, len(list), maxComposition)
		assert.Equal(t, epochs, composedEpochs(list))
	}
	assert.Empty(t, composition(parts(slices.Repeat([]string{a, b}, 40))), "the list would be too long")
}

func FuzzComposedEpochs(f *testing.F) {
	for _, list := range []string{"", "1*A", "2*A,1*B", "0*A", "-1*A", "10001*A", "9999*A,2*B", "9223372036854775807*A,1*B", "*", ",", "1*A*B"} {
		f.Add(list)
	}
	f.Fuzz(func(t *testing.T, list string) {
		require.LessOrEqual(t, len(composedEpochs(list)), growing.MaxSegments)
	})
}
