package upstream

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestContentRangeFollowsRFC9110(t *testing.T) {
	for _, c := range []struct {
		header      string
		start, size int64
	}{
		{"bytes 0-499/1234", 0, 1234},
		{"bytes 734-1233/1234", 734, 1234},
		{"bytes 0-0/1", 0, 1},
		{"bytes 42-1233/*", 42, -1},
		{"bytes */1234", -1, 1234},
		{"bytes 9223372036854775806-9223372036854775806/9223372036854775807", 9223372036854775806, 9223372036854775807},
		{"bytes 0-499/9223372036854775808", 0, -1},
		{"bytes -5-499/1234", -1, 1234},
		{"bytes 0-499/-1", 0, -1},
		{"bytes +1-499/+1234", -1, -1},
		{"bytes=0-499/1234", -1, -1},
		{"pages 0-499/1234", -1, -1},
		{"bytes", -1, -1},
		{"", -1, -1},
	} {
		start, size := parseContentRange(c.header)
		assert.Equal(t, c.start, start, c.header)
		assert.Equal(t, c.size, size, c.header)
	}
}

func FuzzParseContentRange(f *testing.F) {
	for _, header := range []string{"bytes 0-499/1234", "bytes 42-1233/*", "bytes */1234", "bytes 1-2-3/4/5", "bytes 007-8/9", "bytes /", "x"} {
		f.Add(header, int64(3), int64(5))
	}
	f.Fuzz(func(t *testing.T, header string, first, total int64) {
		start, size := parseContentRange(header)
		require.GreaterOrEqual(t, start, int64(-1))
		require.GreaterOrEqual(t, size, int64(-1))
		if start >= 0 || size >= 0 {
			require.True(t, strings.HasPrefix(header, "bytes "))
		}
		if first >= 0 && total >= 0 {
			start, size = parseContentRange(fmt.Sprintf("bytes %d-%d/%d", first, first, total))
			require.Equal(t, first, start)
			require.Equal(t, total, size)
		}
	})
}
