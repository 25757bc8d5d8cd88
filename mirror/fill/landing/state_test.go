package landing

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/mirror/fill/growing"
	"github.com/entrepot-io/entrepot/mirror/layout"
	"github.com/entrepot-io/entrepot/mirror/lease"
	"github.com/entrepot-io/entrepot/upstream"
)

func epochName(n int) string { return fmt.Sprintf("%026d", n) }

// someEpochs returns epochs of a blob's segments as they may be after takeovers: in stretches with holes, or mixed up.
func someEpochs(r *rand.Rand) []string {
	epochs := make([]string, 1+r.IntN(growing.MaxSegments))
	holders, stretch := 1+r.IntN(1+r.IntN(500)), 1+r.IntN(1+r.IntN(2000))
	for n := 0; n < len(epochs); {
		epoch := ""
		if r.IntN(10) > 0 {
			epoch = epochName(r.IntN(holders))
		}
		for end := n + 1 + r.IntN(stretch); n < min(end, len(epochs)); n++ {
			epochs[n] = epoch
		}
	}
	return epochs
}

func TestStateFitsItsLease(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		epochs, present := someEpochs(r), epochName(0)
		state := State{
			Size: upstream.MaxBlob, SegmentSize: upstream.MaxBlob, Runs: runsOf(epochs, present), Hashed: growing.MaxSegments,
			Hash: make([]byte, 256), Seal: make([]byte, 32),
		}
		data, err := json.Marshal(state)
		require.NoError(t, err)
		require.LessOrEqual(t, len(data), lease.MaxState)
		var read State
		require.NoError(t, json.Unmarshal(data, &read))
		require.Equal(t, state, read)

		got := read.Epochs(len(epochs))
		left, leftOfPresent := len(epochs), len(epochs) // the first one that is left out
		for n := range epochs {
			switch got[n] {
			case epochs[n]:
				require.True(t, epochs[n] == "" || n < left || epochs[n] == present && n < leftOfPresent, "the first segments are kept")
			case "":
				if epochs[n] == present {
					leftOfPresent = min(leftOfPresent, n)
				} else {
					left = min(left, n)
				}
			default:
				require.Fail(t, "the state names a segment that is not stored", "%d is of %q, not %q", n, epochs[n], got[n])
			}
		}
		if left < len(epochs) {
			require.NotContains(t, got, present, "a successor finds these segments anyway")
		}
	}
}

func TestStateOfALargeBlobIsSmall(t *testing.T) {
	epochs := slices.Repeat([]string{epochName(1)}, growing.MaxSegments)
	for n := range 30 { // each of thirty leaders died with a few segments in transit
		for i := n * 300; i < growing.MaxSegments; i++ {
			epochs[i] = epochName(n)
		}
		epochs[n*300+3], epochs[n*300+5] = epochName(n+1), epochName(n+1)
	}
	state := State{Runs: runsOf(epochs, epochName(29))}
	data, err := json.Marshal(state)
	require.NoError(t, err)
	require.Less(t, len(data), 4<<10)
	require.Equal(t, epochs, state.Epochs(growing.MaxSegments), "nothing is left out")
}

func TestStateOfAnEarlierVersionIsRead(t *testing.T) {
	var stored []string
	for n := range growing.MaxSegments {
		stored = append(stored, fmt.Sprintf(`{"n":%d,"epoch":%q,"etag":"\"%032d\""}`, n, epochName(n/4000), n))
	}
	text := `{"size":80000,"segmentSize":8,"stored":[{"n":-1,"epoch":"x"},{"n":10000,"epoch":"x"},` + strings.Join(stored, ",") + `],"hashed":2,"hash":"AAAA"}`
	var state State
	require.NoError(t, json.Unmarshal([]byte(text), &state))
	require.True(t, state.begun())
	epochs := state.Epochs(growing.MaxSegments)
	for n, epoch := range epochs {
		require.Equal(t, epochName(n/4000), epoch)
	}
	require.True(t, state.isReplaced(7, backend.Object{ETag: `"8"`}))
	require.False(t, state.isReplaced(7, backend.Object{ETag: backend.ETag(fmt.Sprintf(`"%032d"`, 7))}))

	// After a takeover, a leader writes the state before it has looked at the segments.
	data, err := json.Marshal(state)
	require.NoError(t, err)
	var again State
	require.NoError(t, json.Unmarshal(data, &again))
	require.True(t, again.begun())
	require.Equal(t, make([]string, growing.MaxSegments), again.Epochs(growing.MaxSegments), "segments without versions are not named")
}

func TestSealBindsTheHashedVersions(t *testing.T) {
	d := digest.FromString("x")
	hashed := func() []backend.Object {
		return []backend.Object{
			{Key: layout.Public.Segment(d, 0, "A"), ETag: `"1"`, Size: 8}, {Key: layout.Public.Segment(d, 1, "B"), ETag: `"2"`, Size: 8},
		}
	}
	seal := sealOf([]byte("hash"), hashed())
	bare := hashed()
	bare[0].ETag = "1"
	require.Equal(t, seal, sealOf([]byte("hash"), bare), "clients differ in whether they keep the quotes")
	for name, change := range map[string]func([]backend.Object) []backend.Object{
		"another version": func(o []backend.Object) []backend.Object { o[1].ETag = `"3"`; return o },
		"another epoch":   func(o []backend.Object) []backend.Object { o[1].Key = layout.Public.Segment(d, 1, "A"); return o },
		"fewer":           func(o []backend.Object) []backend.Object { return o[:1] },
		"another order":   func(o []backend.Object) []backend.Object { slices.Reverse(o); return o },
	} {
		require.NotEqual(t, seal, sealOf([]byte("hash"), change(hashed())), name)
	}
	require.NotEqual(t, seal, sealOf([]byte("other"), hashed()))
}

func FuzzState(f *testing.F) {
	for _, text := range []string{
		`{}`, `null`, `{"size":5,"segmentSize":5,"runs":[{"epoch":"A","n":[0,1]}]}`, `{"runs":[{"epoch":"A","n":[0]}]}`,
		`{"runs":[{"epoch":"A","n":[9223372036854775807,9223372036854775807,-1,5,0,-1]}]}`,
		`{"stored":[{"n":3,"epoch":"A","etag":"x"},{"n":-1,"epoch":"B"}]}`, `{"runs":[],"stored":[{"n":9999,"epoch":"<"}]}`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var state State
		if json.Unmarshal(data, &state) != nil {
			return
		}
		epochs := state.Epochs(growing.MaxSegments)
		require.Len(t, epochs, growing.MaxSegments)
		again, err := json.Marshal(State{Runs: runsOf(epochs, "")})
		require.NoError(t, err)
		require.LessOrEqual(t, len(again), lease.MaxState)
		if state.begun() {
			require.LessOrEqual(t, (state.Size-1)/state.SegmentSize, int64(growing.MaxSegments))
		}
		require.False(t, bytes.Contains(again, []byte("stored")))
	})
}
