package fill_test

import (
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/backend/backendtest/memory"
	"github.com/entrepot-io/entrepot/mirror/fill"
	"github.com/entrepot-io/entrepot/mirror/layout"
)

func TestImpossibleSizesAreRefused(t *testing.T) {
	for claims, want := range map[int64]error{
		40e12: fill.ErrBadBlob, 1<<63 - 1: fill.ErrBadBlob, 1 << 62: fill.ErrBadBlob, 5<<40 + 1: fill.ErrBadBlob,
		5 << 40: fill.ErrTooLarge, 200 << 30: fill.ErrTooLarge,
	} {
		for _, ranges := range []string{rangesGiven, rangesIgnored} {
			t.Run(fmt.Sprint(claims, ranges), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					store := &memory.Store{}
					fills := fill.New(fill.Config{
						Store: store, Realm: layout.Public, SegmentSize: 8 << 20, Memory: 32 << 20,
						Abilities: abilities(store, true), Log: slog.New(slog.DiscardHandler), Metrics: fill.NewMetrics(nil),
					})
					blob := (&crowded{name: "one", downloads: 1, ranges: ranges, segment: time.Second}).blob(1, 0, segmentSize)
					blob.claims = claims
					_, err := fills.Join(t.Context(), digest.FromBytes(blob.content), blob)
					require.ErrorIs(t, err, want)
					if want == fill.ErrTooLarge {
						assert.ErrorContains(t, err, "ENTREPOT_FILL_MEMORY")
					}
					fills.Close()
					for o := range store.List(t.Context(), "", "") {
						t.Errorf("%s is left behind", o.Key)
					}
				})
			})
		}
	}
}

// hinted is a blob with another size in a manifest.
type hinted struct {
	*crowdBlob
	hint int64
}

func (h hinted) Expect() int64 { return h.hint }

func TestImpossibleSizeHintsAreIgnored(t *testing.T) {
	for _, hint := range []int64{1<<63 - 1, 1 << 62, 40e12, 5 << 40, -1} {
		synctest.Test(t, func(t *testing.T) {
			fills := crowdFills(4*segmentSize, 1)
			defer fills.Close()
			blob := (&crowded{name: "one", downloads: 4, ranges: rangesGiven, segment: time.Second}).blob(1, 0, 3*segmentSize)
			f, err := fills.Join(t.Context(), digest.FromBytes(blob.content), hinted{blob, hint})
			require.NoError(t, err)
			require.NoError(t, f.Wait(t.Context()), hint)
		})
	}
}
