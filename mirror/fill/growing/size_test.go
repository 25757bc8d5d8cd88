package growing

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const mib = 1 << 20

func TestBlobIsCutIntoFewEnoughSegments(t *testing.T) {
	for _, c := range []struct {
		blob, configured, segment int64
		segments                  int
	}{
		{0, 8 * mib, 8 * mib, 1},
		{1, 8 * mib, 8 * mib, 1},
		{8*mib - 1, 8 * mib, 8 * mib, 1},
		{8 * mib, 8 * mib, 8 * mib, 1},
		{8*mib + 1, 8 * mib, 8 * mib, 2},
		{80_000 * mib, 8 * mib, 8 * mib, 10_000},
		{80_000*mib + 1, 8 * mib, 9 * mib, 8889},
		{5_000_000 * mib, 8 * mib, 500 * mib, 10_000}, // the most that S3 takes
		{5_000_000*mib + 1, 5 * mib, 501 * mib, 9981},
	} {
		t.Run(fmt.Sprint(c.blob, " by ", c.configured), func(t *testing.T) {
			b := New(Config{})
			b.cut(c.blob, SegmentLength(c.blob, c.configured))
			assert.Equal(t, c.segment, b.segSize)
			require.Len(t, b.segments, c.segments)
			var whole int64
			for n := range b.segments {
				require.Equal(t, whole, b.Start(n))
				if n < len(b.segments)-1 {
					require.Equal(t, b.segSize, b.Length(n))
				}
				require.True(t, b.Length(n) > 0 || c.blob == 0)
				whole += b.Length(n)
			}
			require.Equal(t, c.blob, whole)
		})
	}
}
