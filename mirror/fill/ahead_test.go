package fill_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/semaphore"

	"github.com/entrepot-io/entrepot/backend/backendtest/memory"
	"github.com/entrepot-io/entrepot/mirror/fill"
	"github.com/entrepot-io/entrepot/mirror/layout"
	"github.com/entrepot-io/entrepot/upstream"
)

const (
	roundTrip = 100 * time.Millisecond
	// byteTime makes a segment take ten round trips.
	byteTime = 10 * roundTrip / segmentSize
)

// link is a source with constant latency and speed, and a limit of concurrent downloads.
type link struct {
	content []byte
	room    *semaphore.Weighted
	breaks  func(at int64) error // called for each piece; may be nil

	downloads int
	mu        sync.Mutex
	asked     []string
}

// errTooMany: the downloads exceed the limit.
var errTooMany = &upstream.Error{Status: 400}

func newLink(segments int, downloads int64) *link {
	return &link{content: bytes.Repeat([]byte("entrepot"), segments*segmentSize/8), room: semaphore.NewWeighted(downloads), downloads: int(downloads)}
}

func (l *link) Size(context.Context) (int64, error) { return int64(len(l.content)), nil }

func (l *link) Repository() string { return "app" }

func (l *link) Link() (string, int) { return "upstream", l.downloads }

func (l *link) Open(ctx context.Context, offset, end int64) (*upstream.Part, error) {
	l.mu.Lock()
	l.asked = append(l.asked, fmt.Sprintf("%d-%d", offset, end))
	l.mu.Unlock()
	if !l.room.TryAcquire(1) {
		return nil, errTooMany
	}
	if err := sleep(ctx, roundTrip); err != nil {
		l.room.Release(1)
		return nil, err
	}
	body := &linkBody{link: l, ctx: ctx, sent: time.Now(), at: offset, end: end}
	return &upstream.Part{Body: body, Offset: offset, Size: int64(len(l.content)), Ranged: true}, nil
}

// linkBody arrives at a constant pace, even if it is not read.
type linkBody struct {
	link    *link
	ctx     context.Context
	sent    time.Time
	at, end int64
	read    int64
}

func (b *linkBody) Read(p []byte) (int, error) {
	if b.at == b.end {
		return 0, io.EOF
	}
	n := min(segmentSize/100, b.end-b.at, int64(len(p)))
	if err := sleep(b.ctx, time.Until(b.sent.Add(time.Duration(b.read+n)*byteTime))); err != nil {
		return 0, err
	}
	if b.link.breaks != nil {
		if err := b.link.breaks(b.at); err != nil {
			return 0, err
		}
	}
	copy(p, b.link.content[b.at:b.at+n])
	b.at, b.read = b.at+n, b.read+n
	return int(n), nil
}

func (b *linkBody) Close() error {
	b.link.room.Release(1)
	return nil
}

func newFills(connections int, memorySize int64) *fill.Fills {
	store := &memory.Store{}
	return fill.New(fill.Config{
		Store: store, Realm: layout.Public, SegmentSize: segmentSize, Memory: memorySize, Connections: connections,
		Abilities: abilities(store, false), Log: slog.New(slog.DiscardHandler), Metrics: fill.NewMetrics(nil),
	})
}

// fill lands the link's blob and returns the duration.
func (l *link) fill(t *testing.T, connections int) time.Duration {
	t.Helper()
	fills := newFills(connections, 100*segmentSize)
	defer fills.Close()
	began := time.Now()
	f, err := fills.Join(t.Context(), digest.FromBytes(l.content), l)
	require.NoError(t, err)
	require.NoError(t, f.Wait(t.Context()))
	return time.Since(began)
}

func TestLookAheadSavesRoundTrips(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLink(12, 100)
		took := l.fill(t, 3)
		// The other connections start after the first response.
		assert.Less(t, took, 4*segmentSize*byteTime+2*roundTrip+roundTrip/2)
		var want []string
		for n := range 12 {
			want = append(want, fmt.Sprintf("%d-%d", n*segmentSize, (n+1)*segmentSize))
		}
		assert.ElementsMatch(t, want, l.asked, "one segment at a time")
		assert.True(t, l.room.TryAcquire(100), "all downloads have ended")
	})
}

func TestNoLookAheadWithoutFreeDownloadSlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLink(12, 1)
		took := l.fill(t, 1)
		assert.InDelta(t, (12 * (segmentSize*byteTime + roundTrip)).Seconds(), took.Seconds(), 0.01)
		assert.Len(t, l.asked, 12)
		assert.True(t, l.room.TryAcquire(1))
	})
}

// A worker whose connection broke needs a slot. If it kept the slot of its look-ahead, it would wait for itself.
func TestBrokenConnectionFreesTheNextSlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, other := newLink(3, 2), newLink(1, 2)
		l.content[0]++
		other.room = l.room
		fills := newFills(1, 100*segmentSize)
		defer fills.Close()
		var once sync.Once
		l.breaks = func(at int64) (err error) {
			if at > segmentSize*97/100 {
				once.Do(func() {
					err = errBroken
					_, err := fills.Join(t.Context(), digest.FromBytes(other.content), other) // waits for a slot
					require.NoError(t, err)
				})
			}
			return err
		}
		began := time.Now()
		f, err := fills.Join(t.Context(), digest.FromBytes(l.content), l)
		require.NoError(t, err)
		require.NoError(t, f.Wait(t.Context()))
		assert.Less(t, time.Since(began), 35*roundTrip)
		fills.Close()
		assert.True(t, l.room.TryAcquire(2))
	})
}

// Workers with a broken connection hold memory and wait for a slot. The others hold the slots and wait for memory.
func TestMemoryAndSlotsDoNotDeadlock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		room := semaphore.NewWeighted(2)
		fills := newFills(2, 2*segmentSize)
		defer fills.Close()
		var all []*fill.Fill
		for i := range 2 {
			l := newLink(4, 2)
			l.room = room
			l.content[0] = byte(i)
			var broken sync.Map
			l.breaks = func(at int64) (err error) {
				if _, again := broken.LoadOrStore(at, true); at%segmentSize > segmentSize/2 && !again {
					err = errBroken
				}
				return err
			}
			f, err := fills.Join(t.Context(), digest.FromBytes(l.content), l)
			require.NoError(t, err)
			all = append(all, f)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		var waits sync.WaitGroup
		for _, f := range all {
			waits.Go(func() { assert.NoError(t, f.Wait(ctx)) }) // a fill without a waiting client would be parked
		}
		waits.Wait()
		assert.True(t, room.TryAcquire(2))
	})
}
