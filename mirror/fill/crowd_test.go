package fill_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"sync"
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

func crowdFills(memorySize int64, upstreams int) *fill.Fills {
	store := &memory.Store{}
	return fill.New(fill.Config{
		Store: store, Realm: layout.Public, SegmentSize: segmentSize, Memory: memorySize, Upstreams: upstreams,
		Abilities: abilities(store, true), Log: slog.New(slog.DiscardHandler), Metrics: fill.NewMetrics(nil),
	})
}

// pull reads a whole blob at a pace, and requests the rest again if a response breaks off.
func (b *crowdBlob) pull(ctx context.Context, fills *fill.Fills, pace time.Duration) error {
	for {
		err := b.pullOnce(ctx, fills, pace)
		if err == nil || ctx.Err() != nil {
			return err
		}
		if err := sleep(ctx, time.Second); err != nil {
			return err
		}
	}
}

func (b *crowdBlob) pullOnce(ctx context.Context, fills *fill.Fills, pace time.Duration) error {
	f, err := fills.Join(ctx, digest.FromBytes(b.content), b)
	if err != nil {
		return err
	}
	body := f.Open(ctx, 0)
	defer body.Close()
	var got bytes.Buffer
	for p := make([]byte, segmentSize/3); ; {
		n, err := body.Read(p)
		got.Write(p[:n])
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		if err := sleep(ctx, pace); err != nil {
			return err
		}
	}
	if !bytes.Equal(got.Bytes(), b.content) {
		return errors.New("wrong bytes")
	}
	return nil
}

// crowd is the setting of a random test with many blobs.
type crowd struct {
	Seed      uint64
	Memory    int64
	Upstreams []*crowded
	Blobs     []int // for each upstream
	Segments  int   // of a blob, at most
	Vanish    int   // one of this many clients vanishes; 0: none
}

func aCrowd(seed uint64) crowd {
	r := rand.New(rand.NewPCG(seed, 1))
	c := crowd{Seed: seed, Memory: int64(1+r.IntN(12)) * segmentSize, Segments: 1 + r.IntN(5), Vanish: r.IntN(4)}
	for n := range 1 + r.IntN(3) {
		c.Upstreams = append(c.Upstreams, &crowded{
			name: fmt.Sprint("upstream ", n), downloads: 1 + r.IntN(6), ranges: []string{rangesGiven, rangesIgnored}[r.IntN(2)],
			breaks: []float64{0, 0.02, 0.1}[r.IntN(3)], segment: between(r, 10*time.Millisecond, 2*time.Second),
		})
		c.Blobs = append(c.Blobs, 1+r.IntN(40))
	}
	return c
}

// run lets all clients pull, and checks that each one that stays gets its blob.
func (c crowd) run(t *testing.T) {
	fills := crowdFills(c.Memory, len(c.Upstreams))
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Hour)
	defer cancel()
	var clients sync.WaitGroup
	for i, u := range c.Upstreams {
		for n := range c.Blobs[i] {
			r := rand.New(rand.NewPCG(c.Seed, uint64(i*1000+n+2)))
			blob := u.blob(c.Seed, n, 1+r.IntN(c.Segments*segmentSize))
			pace := []time.Duration{0, 0, 100 * time.Millisecond, time.Second}[r.IntN(4)]
			vanishes := c.Vanish > 0 && r.IntN(c.Vanish) == 0
			clients.Go(func() {
				time.Sleep(between(r, time.Millisecond, 20*time.Second))
				if vanishes {
					short, vanish := context.WithTimeout(ctx, time.Duration(r.IntN(3000))*time.Millisecond)
					defer vanish()
					_ = blob.pull(short, fills, pace)
					return
				}
				assert.NoError(t, blob.pull(ctx, fills, pace), "seed %d, %s, blob %d", c.Seed, u.name, n)
			})
		}
	}
	clients.Wait()
	fills.Close()
	for _, u := range c.Upstreams {
		assert.Zero(t, u.now.Load(), "seed %d", c.Seed)
		assert.LessOrEqual(t, u.most.Load(), int64(u.downloads), "seed %d", c.Seed)
		assert.Equal(t, u.downloads, fills.FreeDownloads(u.name), "seed %d", c.Seed)
	}
	assert.NoError(t, fills.Unbalanced(), "seed %d", c.Seed)
}

func TestAllBlobsOfACrowdArrive(t *testing.T) {
	first, seeds := setting(t, "ENTREPOT_TEST_SEED"), max(setting(t, "ENTREPOT_TEST_SEEDS"), 60)
	if first == 0 {
		first = uint64(time.Now().UnixNano())
	}
	for n := uint64(0); n < seeds && !t.Failed(); n++ {
		synctest.Test(t, aCrowd(first+n).run)
	}
}

func TestBlobsOfBreakingUpstreamsArrive(t *testing.T) {
	for _, c := range []struct {
		name      string
		ranges    string
		blobs     int
		size      int
		memory    int64
		downloads int
		breaks    float64
	}{
		{"60 blobs whose connections break", rangesIgnored, 60, segmentSize * 3 / 2, 4 * segmentSize, 4, 0.1},
		{"96 layers with the defaults", rangesIgnored, 96, 2 * segmentSize, 32 * segmentSize, 32, 0.02},
		{"96 layers that never break", rangesIgnored, 96, 2 * segmentSize, 32 * segmentSize, 32, 0},
		{"60 blobs by ranges", rangesGiven, 60, segmentSize * 3 / 2, 4 * segmentSize, 4, 0.1},
		{"memory for one segment", rangesIgnored, 10, 3 * segmentSize, segmentSize, 4, 0.05},
		{"one download", rangesIgnored, 10, 3 * segmentSize, 4 * segmentSize, 1, 0.05},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fills := crowdFills(c.memory, 2)
				sick := &crowded{name: "sick", downloads: c.downloads, ranges: c.ranges, breaks: c.breaks, segment: time.Second}
				well := &crowded{name: "well", downloads: c.downloads, ranges: rangesGiven, segment: 100 * time.Millisecond}
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				var clients sync.WaitGroup
				for n := range c.blobs {
					pace := []time.Duration{0, 0, time.Second}[n%3]
					clients.Go(func() { assert.NoError(t, sick.blob(1, n, c.size).pull(ctx, fills, pace), n) })
				}
				time.Sleep(2 * time.Second)
				for n := range 4 {
					clients.Go(func() { assert.NoError(t, well.blob(1, n, 3*segmentSize).pull(ctx, fills, 0), n) })
				}
				clients.Wait()
				fills.Close()
				for _, u := range []*crowded{sick, well} {
					assert.Zero(t, u.now.Load())
					assert.LessOrEqual(t, u.most.Load(), int64(c.downloads))
				}
				require.False(t, t.Failed())
			})
		})
	}
}

func TestHangingUpstreamLeavesMemoryForOthers(t *testing.T) {
	for _, segments := range []int64{2, 4, 32} {
		t.Run(fmt.Sprint(segments, " segments"), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fills := crowdFills(segments*segmentSize, 2)
				hung := &crowded{name: "hung", downloads: 32, ranges: rangesGiven, hangs: true}
				well := &crowded{name: "well", downloads: 32, ranges: rangesGiven, segment: time.Second}
				ctx, cancel := context.WithCancel(t.Context())
				var clients sync.WaitGroup
				for n := range 40 {
					clients.Go(func() { assert.Error(t, hung.blob(1, n, 3*segmentSize).pull(ctx, fills, 0)) })
				}
				time.Sleep(2 * time.Second)
				began := time.Now()
				require.NoError(t, well.blob(1, 0, 3*segmentSize).pull(ctx, fills, 0))
				assert.Less(t, time.Since(began), 10*time.Second)
				cancel()
				clients.Wait()
				fills.Close()
			})
		})
	}
}

func TestUnreadFillsMakeWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fills := crowdFills(8*segmentSize, 1)
		defer fills.Close()
		u := &crowded{name: "slow", downloads: 4, ranges: rangesGiven, segment: 10 * time.Minute}
		for n := range 20 {
			ctx, leave := context.WithTimeout(t.Context(), time.Second)
			go func() { _ = u.blob(1, n, 8*segmentSize).pull(ctx, fills, 0) }()
			defer leave()
		}
		time.Sleep(2 * time.Second)
		began := time.Now()
		first := u.blob(2, 0, segmentSize)
		f, err := fills.Join(t.Context(), digest.FromBytes(first.content), first)
		require.NoError(t, err)
		body := f.Open(t.Context(), 0)
		_, err = io.ReadFull(body, make([]byte, 1))
		require.NoError(t, err)
		assert.Less(t, time.Since(began), 12*time.Minute/2, "the fill does not wait for the segments of others")
		body.Close()
	})
}

func TestParkedFillContinues(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fills := crowdFills(4*segmentSize, 1)
		defer fills.Close()
		u := &crowded{name: "one", downloads: 1, ranges: rangesGiven, segment: 4 * time.Second}
		blob, other := u.blob(1, 0, 10*segmentSize), u.blob(1, 1, segmentSize)
		short, leave := context.WithTimeout(t.Context(), 10*time.Second)
		defer leave()
		require.Error(t, blob.pull(short, fills, 0))
		time.Sleep(10 * time.Second) // longer than the grace period, but the fill continues
		assert.Equal(t, 1, fills.Count())
		require.NoError(t, other.pull(t.Context(), fills, 0))
		require.NoError(t, blob.pull(t.Context(), fills, 0))
		assert.Less(t, u.sent.Load(), int64(13*segmentSize), "only segments that had not landed are sent twice")
	})
}

func TestLongUnreadFillIsParked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fills := crowdFills(8<<20, 1)
		defer fills.Close()
		u := &crowded{name: "one", downloads: 8, ranges: rangesGiven, hangs: true}
		short, leave := context.WithTimeout(t.Context(), time.Second)
		defer leave()
		small := u.blob(1, 0, 3*segmentSize)
		_, err := fills.Join(short, digest.FromBytes(small.content), small)
		require.NoError(t, err)
		long := u.blob(1, 1, 3*segmentSize)
		long.claims = 2 << 30
		_, err = fills.Join(short, digest.FromBytes(long.content), long)
		require.NoError(t, err)
		time.Sleep(59 * time.Second)
		assert.Equal(t, 2, fills.Count())
		time.Sleep(5 * time.Second)
		assert.Equal(t, 1, fills.Count(), "the small fill continues")
	})
}

func TestFillsWaitForAPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fills := crowdFills(64*segmentSize, 1)
		defer fills.Close()
		u := &crowded{name: "one", downloads: 4, ranges: rangesGiven, segment: 500 * time.Hour}
		ctx, leave := context.WithCancel(t.Context())
		var clients sync.WaitGroup
		for n := range fill.MaxFills {
			clients.Go(func() { _ = u.blob(1, n, 2*segmentSize).pull(ctx, fills, 0) })
		}
		time.Sleep(time.Second)
		began := time.Now()
		late := u.blob(2, 0, segmentSize)
		_, err := fills.Join(t.Context(), digest.FromBytes(late.content), late)
		require.ErrorIs(t, err, fill.ErrBusy)
		assert.Equal(t, 18*time.Second, time.Since(began))
		leave()
		clients.Wait()
		began = time.Now()
		_, err = fills.Join(t.Context(), digest.FromBytes(late.content), late)
		require.NoError(t, err, "fills without readers are parked")
		assert.Less(t, time.Since(began), 10*time.Second)
	})
}
