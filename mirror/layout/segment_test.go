package layout_test

import (
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/mirror/layout"
)

func TestSegmentsSortByNumber(t *testing.T) {
	d := digest.FromString("x")
	var last string
	for _, n := range []int{0, 1, 9, 10, 99, 100, 999, 1000, 9999} {
		key := layout.Public.Segment(d, n, "EPOCH")
		assert.Less(t, last, key)
		assert.Less(t, key, layout.Public.FillLease(d), "segments sort before the lease")
		last = key
	}
}

func FuzzParseSegment(f *testing.F) {
	for _, name := range []string{
		"00000.E", "00001.ABCDEFGHIJKLMNOPQRSTUVWXYZ", "09999.E", "10000.E", "123456.E", "lease", "", ".", "00000.", "00000",
		"0.E", "-0001.E", "+0001.E", "00000.E.F", "0x001.E", "99999999999999999999.E", " 00001.E", "٠٠٠٠١.E",
	} {
		f.Add(name)
	}
	d := digest.FromString("x")
	f.Fuzz(func(t *testing.T, name string) {
		n, epoch, ok := layout.ParseSegment(name)
		if !ok {
			return
		}
		key := layout.Public.Segment(d, n, epoch)
		require.Equal(t, layout.Public.Fill(d)+name, key, "each segment has one name")
		if !strings.Contains(epoch, "/") && backend.CheckKey(key) == nil {
			require.NotEqual(t, layout.Public.FillLease(d), key)
		}
	})
}

func FuzzSegmentRoundTrip(f *testing.F) {
	f.Add(0, "E")
	f.Add(9999, "ABCDEFGHIJKLMNOPQRSTUVWXYZ")
	f.Add(1234567, "E.F")
	d := digest.FromString("x")
	f.Fuzz(func(t *testing.T, number int, written string) {
		name := strings.TrimPrefix(layout.Public.Segment(d, number, written), layout.Public.Fill(d))
		n, epoch, ok := layout.ParseSegment(name)
		require.Equal(t, number >= 0 && written != "", ok)
		if ok {
			require.Equal(t, number, n)
			require.Equal(t, written, epoch)
		}
	})
}
