package mirror_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"runtime"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/backend/backendtest/memory"
	"github.com/entrepot-io/entrepot/mirror"
	"github.com/entrepot-io/entrepot/upstream/upstreamtest"
)

func TestRefusedContentIsNotRequestedAgainSoon(t *testing.T) {
	for _, code := range []int{http.StatusNotFound, http.StatusForbidden, http.StatusUnauthorized} {
		t.Run(fmt.Sprint(code), func(t *testing.T) {
			reg := upstreamtest.Start(t, upstreamtest.Options{})
			image := reg.Image("library/app", "1", 100)
			layer := image.Layers[0].Digest
			reg.Faults.Set(upstreamtest.Fault{Status: code})
			r := startReplica(t, newStore(t), reg)
			for name, ask := range map[string]func() error{
				"a tag":                          func() error { _, err := r.get(t, "app", "1"); return err },
				"a manifest":                     func() error { _, err := r.get(t, "app", image.Digest.String()); return err },
				"a blob":                         func() error { _, err := r.Blob(t.Context(), repository(t, "app"), layer); return err },
				"the size of a blob":             func() error { _, err := r.StatBlob(t.Context(), repository(t, "app"), image.Config.Digest); return err },
				"a tag in an unknown repository": func() error { _, err := r.get(t, "other", "1"); return err },
			} {
				reg.ResetCounts()
				for range 5 {
					failed := new(mirror.UpstreamError)
					require.ErrorAs(t, ask(), &failed, name)
					assert.Equal(t, code, failed.Status, name)
				}
				assert.Equal(t, 1, requests(reg), name)
				r.clock.Advance(11 * time.Second)
				require.Error(t, ask())
				assert.Equal(t, 2, requests(reg), name)
			}
		})
	}
}

func TestRefusalAppliesToItsRepository(t *testing.T) {
	reg := upstreamtest.Start(t, upstreamtest.Options{})
	image := reg.Image("library/app", "1", 100)
	r := startReplica(t, newStore(t), reg)
	_, err := r.get(t, "other", image.Digest.String())
	require.Error(t, err)
	r.mustGet(t, "app", image.Digest.String())
	_, err = r.Blob(t.Context(), repository(t, "other"), image.Layers[0].Digest)
	require.Error(t, err)
	_, err = r.Blob(t.Context(), repository(t, "app"), image.Layers[0].Digest)
	require.NoError(t, err)
}

func TestNewContentIsFoundAfterRefusal(t *testing.T) {
	reg := upstreamtest.Start(t, upstreamtest.Options{})
	r := startReplica(t, newStore(t), reg)
	_, err := r.get(t, "app", "1")
	require.Error(t, err)
	image := reg.Image("library/app", "1", 100)
	r.clock.Advance(11 * time.Second)
	assert.Equal(t, image.Digest, r.mustGet(t, "app", "1").Digest)
}

func TestRequestsForMissingContentFillNothing(t *testing.T) {
	inBubble(t, testRequestsForMissingContent)
}

func testRequestsForMissingContent(t *testing.T, o *origin) {
	store := new(memory.Store)
	r := bubbled(t, store, o, mirror.Config{Log: slog.New(slog.DiscardHandler), NegativeTTL: 10 * time.Second})
	r.mustGet(t, "app", "1")
	stored := keys(t, store, "public/")
	o.set(func(o *origin) { o.status = http.StatusNotFound })
	ask := func(from, to int) {
		for i := from; i < to; i++ {
			_, err := r.get(t, "app", fmt.Sprintf("random-%d", i))
			require.Error(t, err)
			_, err = r.get(t, fmt.Sprintf("random/%d", i), digest.FromString(fmt.Sprint(i)).String())
			require.Error(t, err)
			_, err = r.Blob(t.Context(), repository(t, "app"), digest.FromString(fmt.Sprint("blob", i)))
			require.Error(t, err)
		}
	}
	// The first round fills the memory for refusals. The second must not make it grow.
	const lot = 2000
	ask(0, lot)
	before := heap()
	ask(lot, 2*lot)
	grown := int64(heap()) - int64(before)
	t.Logf("%d bytes after %d requests, %d more after as many again", before, 3*lot, grown)
	assert.Less(t, grown, int64(2<<20))
	assert.Equal(t, stored, keys(t, store, "public/"))
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// requests returns the number of requests to the upstream, except those for authentication.
func requests(reg *upstreamtest.Registry) int {
	n := 0
	for kind, count := range reg.Counts().Requests {
		if kind != upstreamtest.Ping {
			n += count
		}
	}
	return n
}
