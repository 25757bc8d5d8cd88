package fill_test

import (
	"bytes"
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/mirror/fill"
	"github.com/entrepot-io/entrepot/upstream"
)

// streaming is a link that ignores ranges.
type streaming struct{ *link }

func (s streaming) Open(ctx context.Context, _, _ int64) (*upstream.Part, error) {
	part, err := s.link.Open(ctx, 0, int64(len(s.content)))
	if err != nil {
		return nil, err
	}
	part.Ranged = false
	return part, nil
}

func TestBlobsPassThroughWithoutRanges(t *testing.T) {
	for _, memorySize := range []int64{segmentSize, 2 * segmentSize, 8 * segmentSize} {
		synctest.Test(t, func(t *testing.T) {
			l := newLink(12, 100)
			p := newPort(t, memorySize, always("put segment", 3, backend.ErrFull))
			var clients sync.WaitGroup
			for n, pause := range []time.Duration{0, time.Second, 13 * time.Second} {
				clients.Go(func() {
					offset := int64(n) * 1500
					got, err := p.pull(t, streaming{l}, l.content, offset, pause)
					assert.NoError(t, err, "client %d", n)
					assert.True(t, bytes.Equal(l.content[offset:], got), "client %d", n)
				})
			}
			clients.Wait()
			time.Sleep(time.Minute)
			assert.Empty(t, p.store.left(t))
			assert.True(t, l.room.TryAcquire(100), "all downloads have ended")
		})
	}
}

func TestWrongUnstoredBlobEndsShort(t *testing.T) {
	for name, wrong := range map[string]int{"at the beginning": 5, "in the middle": 6 * segmentSize, "at the end": 12*segmentSize - 3} {
		for _, streams := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					l := newLink(12, 100)
					right := slices.Clone(l.content)
					l.content[wrong]++
					var source fill.Source = l
					if streams {
						source = streaming{l}
					}
					p := newPort(t, 2*segmentSize, always("put", 1, backend.ErrFull))
					for _, pause := range []time.Duration{0, 3 * time.Second} {
						got, err := p.pull(t, source, right, 0, pause)
						require.ErrorIs(t, err, fill.ErrBadBlob)
						assert.LessOrEqual(t, len(got), len(right)-1024)
					}
					time.Sleep(time.Minute)
					assert.Zero(t, p.Count())
				})
			})
		}
	}
}

// turning is a source that sends other bytes the second time.
type turning struct {
	*link
	turned *link
	mu     *sync.Mutex
	asked  map[int64]bool
}

func (s turning) Open(ctx context.Context, offset, end int64) (*upstream.Part, error) {
	s.mu.Lock()
	again := s.asked[offset/segmentSize]
	s.asked[offset/segmentSize] = true
	s.mu.Unlock()
	if again {
		return s.turned.Open(ctx, offset, end)
	}
	return s.link.Open(ctx, offset, end)
}

func TestRefetchedBytesMustBeTheSame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLink(12, 100)
		turned := newLink(12, 100)
		for n := range 12 {
			turned.content[n*segmentSize+100]++
		}
		source := turning{l, turned, new(sync.Mutex), map[int64]bool{}}
		p := newPort(t, 2*segmentSize, always("put", 1, backend.ErrFull))
		done := make(chan struct{})
		go func() {
			defer close(done)
			got, err := p.pull(t, source, l.content, 0, time.Minute)
			assert.ErrorIs(t, err, fill.ErrBadBlob)
			assert.Less(t, len(got), len(l.content)-1024)
		}()
		time.Sleep(time.Second)
		got, err := p.pull(t, source, l.content, 0, 0) // ends complete or short, before or after the slow client notices
		if err == nil {
			assert.True(t, bytes.Equal(l.content, got))
		}
		<-done
	})
}
