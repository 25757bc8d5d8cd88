package fill_test

import (
	"bytes"
	"context"
	"os"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/mirror/layout"
)

// The model runs the real code in worlds with a virtual clock, a simulated store, network and upstream, and the bad luck of
// a seed. It runs new seeds for 15 s, or as many as ENTREPOT_TEST_SEEDS. ENTREPOT_TEST_SEED is the first of them. Without
// ENTREPOT_TEST_SEEDS it is the only one, and runs several times. Runs of a seed differ only in epochs, a few pauses, and the
// order of simultaneous events.

func TestWhateverHappensThePromisesHold(t *testing.T) {
	first, seeds := setting(t, "ENTREPOT_TEST_SEED"), setting(t, "ENTREPOT_TEST_SEEDS")
	if first > 0 && seeds == 0 {
		for range 20 {
			live(t, forecast(first))
		}
		return
	}
	if first == 0 {
		first = uint64(time.Now().UnixNano())
	}
	began := time.Now()
	var next atomic.Uint64
	t.Cleanup(func() { t.Logf("%d seeds from %d on", next.Load(), first) })
	for _, name := range []string{"one half", "other half"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for n := next.Add(1); !t.Failed(); n = next.Add(1) {
				if n > seeds && (seeds > 0 || time.Since(began) > 15*time.Second) {
					return
				}
				live(t, forecast(first+n-1))
			}
		})
	}
}

// In this history a source first announces too few bytes for a blob that then passes through. Later requests must not join
// a fill that nobody can read to its end.
func TestFillEndsWhenTheSizeTurnsOutWrong(t *testing.T) { live(t, forecast(362)) }

// In this history six readers share two downloads from a slow source that ignores ranges, so each starts at byte 0.
func TestSlowWholeSourceServesAllReaders(t *testing.T) { live(t, forecast(9000618)) }

// In this history writes hang after a dead leader has stored wrong bytes, so nobody can delete them.
func TestBadSegmentsAreReadOnce(t *testing.T) { live(t, forecast(7000806)) }

// In this history one of two endpoints sent another size, and the bucket is full when the leader wants to release its lease.
func TestRejectedFillLeavesNoLeaseInFullBucket(t *testing.T) { live(t, forecast(1795717874202416793)) }

// In this history a leader dies, and a replica that cannot take the lease stores the blob of other segments than a follower's
// readers have had.
func TestFollowerOutlivesBlobOfOtherSegments(t *testing.T) { live(t, forecast(1795739013672740734)) }

func setting(t *testing.T, name string) uint64 {
	text := os.Getenv(name)
	if text == "" {
		return 0
	}
	n, err := strconv.ParseUint(text, 10, 64)
	require.NoError(t, err)
	return n
}

// live runs the history of a world with this weather.
func live(t *testing.T, w weather) {
	clients, transports := registries(w)
	synctest.Test(t, func(t *testing.T) {
		world := newWorld(t, w)
		for n, client := range clients {
			world.replicas[n].registry, transports[n].replica = client, world.replicas[n]
		}
		world.run()
	})
}

// fair is weather in which nothing goes wrong.
var fair = weather{
	Replicas: 2, Clients: 4, Size: 10 * segmentSize, Memory: 4 * segmentSize, Connections: 2, Leases: true, Composes: true,
	Latency: 10 * time.Millisecond, Segment: 100 * time.Millisecond, Ranges: rangesGiven, TellsSize: true,
	Downloads: 32,
}

func TestImpossibleStateBeginsTheFillAnew(t *testing.T) {
	for _, state := range []string{
		`{}`, `null`, `{"size":-1,"segmentSize":4096}`, `{"size":40960}`, `{"size":9223372036854775807,"segmentSize":1}`,
		`{"size":40960,"segmentSize":4}`, `{"size":4611686018427387904,"segmentSize":4611686018427387904}`,
		`{"size":5497558138881,"segmentSize":1073741824}`, `{"size":1099511627776,"segmentSize":1099511627776}`,
		`{"size":40960,"segmentSize":20480}`, `{"size":-9223372036854775808,"segmentSize":-1}`,
	} {
		t.Run(state, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, fair)
				record := []byte(`{"epoch":"E","turn":1,"nonce":"N","state":` + state + `}`)
				_, err := w.store.Put(context.Background(), layout.Public.FillLease(w.digest), bytes.NewReader(record), int64(len(record)), backend.PutOptions{})
				require.NoError(t, err)
				w.run()
			})
		})
	}
}

func TestLeaderWithoutALookLeavesItsState(t *testing.T) {
	w := fair
	w.Seed, w.Replicas, w.Clients = 1795475239322656764, 3, 7
	w.Size, w.Memory, w.Connections = 77415, segmentSize, 1
	w.Latency, w.Segment = 2678*time.Microsecond, 81234*time.Microsecond
	// The first leader hands over after one segment. Its successor stops in its first lookup, while others read that segment.
	w.Strikes = []strike{{Does: "close", At: "put lease", Nth: 2}, {Does: "pause", At: "stat blob", Nth: 4, Pauses: 4251 * time.Millisecond}}
	live(t, w)
}
