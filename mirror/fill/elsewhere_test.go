package fill_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/backend/backendtest/memory"
	"github.com/entrepot-io/entrepot/mirror/fill"
	"github.com/entrepot-io/entrepot/mirror/layout"
	"github.com/entrepot-io/entrepot/upstream"
)

// twoPlaces is a source with two places. The bytes of the first one are wrong.
type twoPlaces struct {
	*link // the right place
	wrong *link

	mu      sync.Mutex
	doubted bool
	refuted bool
}

func newTwoPlaces(segments int) *twoPlaces {
	s := &twoPlaces{link: newLink(segments, 100), wrong: newLink(segments, 100)}
	for i := range s.wrong.content {
		s.wrong.content[i] ^= 0xff
	}
	return s
}

func (s *twoPlaces) Open(ctx context.Context, offset, end int64) (*upstream.Part, error) {
	s.mu.Lock()
	doubted := s.doubted
	s.mu.Unlock()
	if doubted {
		return s.link.Open(ctx, offset, end)
	}
	return s.wrong.Open(ctx, offset, end)
}

func (s *twoPlaces) Fits(*upstream.Part, int64) bool { return true }
func (s *twoPlaces) Doubt(*upstream.Part) bool       { return false }

func (s *twoPlaces) Reject() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	again := !s.refuted && !s.doubted
	s.doubted, s.refuted = true, true
	return again
}

func (s *twoPlaces) Doubted() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.doubted {
		return []string{"wrong"}
	}
	return nil
}

func (s *twoPlaces) DoubtAlso(names []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.doubted = s.doubted || slices.Contains(names, "wrong")
}

// askedWrong counts the requests to the wrong place.
func (s *twoPlaces) askedWrong() int {
	s.wrong.mu.Lock()
	defer s.wrong.mu.Unlock()
	return len(s.wrong.asked)
}

// on starts another process on the same store.
func (p *port) on(t *testing.T) *port {
	t.Helper()
	other := &port{store: p.store, Fills: fill.New(fill.Config{
		Store: p.store, Realm: layout.Public, SegmentSize: segmentSize, Connections: 2,
		Abilities: abilities(p.store, true), Log: slog.New(slog.DiscardHandler), Metrics: fill.NewMetrics(nil),
	})}
	t.Cleanup(other.Close)
	return other
}

func TestReadersWithoutBytesMoveOn(t *testing.T) {
	for name, refuse := range map[string]func(string, int) error{
		"stored":     nil,
		"unstored":   always("put", 1, backend.ErrFull),
		"no leases":  always("put lease", 1, backend.ErrDenied),
		"lost lease": always("put lease", 2, backend.ErrDenied),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newTwoPlaces(1)
				p := newPort(t, 8*segmentSize, refuse)
				d := digest.FromBytes(s.content)
				f, err := p.Join(t.Context(), d, s)
				require.NoError(t, err)
				atEnd := f.Open(t.Context(), segmentSize-100) // held back until the blob is verified
				defer atEnd.Close()
				got, err := io.ReadAll(atEnd)
				require.NoError(t, err)
				assert.True(t, bytes.Equal(s.content[segmentSize-100:], got))
				require.NoError(t, f.Verified(t.Context()))
				assert.NotSame(t, f, f.Last())
				if name == "stored" {
					require.NoError(t, f.Wait(t.Context()))
				}
				got, err = p.pull(t, s, s.content, 0, 0)
				require.NoError(t, err)
				assert.True(t, bytes.Equal(s.content, got))
				assert.Equal(t, 1, s.askedWrong())
			})
		})
	}
}

func TestReadersWithWrongBytesEndShort(t *testing.T) {
	for name, refuse := range map[string]func(string, int) error{
		"stored":             nil,
		"unstored":           always("put", 1, backend.ErrFull),
		"no leases":          always("put lease", 1, backend.ErrDenied),
		"full in mid-fill":   always("put segment", 3, backend.ErrFull),
		"denied in mid-fill": always("put lease", 2, backend.ErrDenied),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newTwoPlaces(6)
				p := newPort(t, 8*segmentSize, refuse)
				f, err := p.Join(t.Context(), digest.FromBytes(s.content), s)
				require.NoError(t, err)
				short := f.Open(t.Context(), 0)
				defer short.Close()
				got, err := io.ReadAll(short)
				require.ErrorIs(t, err, fill.ErrBadBlob)
				assert.Less(t, len(got), len(s.content)-1000)
				wrong := s.askedWrong()
				got, err = p.pull(t, s, s.content, 0, 0)
				require.NoError(t, err)
				assert.True(t, bytes.Equal(s.content, got))
				assert.Equal(t, wrong, s.askedWrong(), "the wrong place gets no further request")
				time.Sleep(2 * time.Minute)
				assert.Zero(t, p.Count())
			})
		})
	}
}

func TestFollowersGetTheBlobFromAnotherPlace(t *testing.T) {
	for _, segments := range []int{1, 6} {
		synctest.Test(t, func(t *testing.T) {
			p := newPort(t, 8*segmentSize, nil)
			other := p.on(t)
			mine, theirs := newTwoPlaces(segments), newTwoPlaces(segments)
			var clients sync.WaitGroup
			clients.Go(func() {
				_, err := p.pull(t, mine, mine.content, 0, 0)
				assert.ErrorIs(t, err, fill.ErrBadBlob)
			})
			time.Sleep(time.Millisecond)
			for tries := range 3 {
				got, err := other.pull(t, theirs, mine.content, 0, 0)
				if segments == 1 || tries > 0 {
					require.NoError(t, err)
				}
				if err == nil {
					assert.True(t, bytes.Equal(mine.content, got))
				}
			}
			clients.Wait()
			assert.Zero(t, theirs.askedWrong())
			time.Sleep(time.Minute)
			assert.Equal(t, []string{layout.Public.Blob(digest.FromBytes(mine.content))}, p.store.left(t))
		})
	}
}

// Other processes learn from the lease which places are wrong.
func TestDoubtsGoWithTheLease(t *testing.T) {
	for pause := time.Duration(0); pause < time.Second; pause += 50 * time.Millisecond {
		synctest.Test(t, func(t *testing.T) {
			p := newPort(t, 8*segmentSize, nil)
			mine, theirs := newTwoPlaces(6), newTwoPlaces(6)
			_, err := p.pull(t, mine, mine.content, 0, 0)
			require.ErrorIs(t, err, fill.ErrBadBlob)
			time.Sleep(pause)
			p.Close() // hands over the fill that replaced it
			got, err := p.on(t).pull(t, theirs, mine.content, 0, 0)
			require.NoError(t, err)
			assert.True(t, bytes.Equal(mine.content, got))
			assert.Zero(t, theirs.askedWrong(), "after %s", pause)
		})
	}
}

func TestFollowersSurviveAWrongSize(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPort(t, 8*segmentSize, nil)
		other := p.on(t)
		mine, theirs := newTwoPlaces(2), newTwoPlaces(2)
		mine.wrong.content = mine.wrong.content[:segmentSize*3/2]
		d := digest.FromBytes(mine.content)
		wait := func(p *port, s *twoPlaces) {
			f, err := p.Join(t.Context(), d, s)
			require.NoError(t, err)
			assert.EqualValues(t, segmentSize*3/2, f.Size())
			assert.NoError(t, f.Wait(t.Context()))
			assert.EqualValues(t, 2*segmentSize, f.Last().Size())
		}
		var clients sync.WaitGroup
		clients.Go(func() { wait(p, mine) })
		time.Sleep(time.Millisecond)
		wait(other, theirs)
		clients.Wait()
		assert.Zero(t, theirs.askedWrong())
	})
}

func TestWaitersMoveOnAtHandOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, fills := newTwoPlaces(1), newFreezing(t, new(memory.Store))
		f, err := fills.Join(t.Context(), digest.FromBytes(s.content), s)
		require.NoError(t, err)
		waited := make(chan error)
		go func() { waited <- f.Wait(t.Context()) }()
		time.Sleep(time.Second / 2)
		require.NoError(t, fills.HandOver(t.Context()))
		require.ErrorIs(t, <-waited, fill.ErrHandedOver)
		f, err = fills.Join(t.Context(), digest.FromBytes(s.content), s)
		require.NoError(t, err)
		require.NoError(t, f.Wait(t.Context()))
	})
}

func TestDoubtsOutliveAFreeze(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := new(memory.Store)
		wrong := 0
		for requests := 1; ; requests++ {
			require.Less(t, requests, 10)
			s := newTwoPlaces(12)
			fills := newFreezing(t, store)
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			f, err := fills.Join(ctx, digest.FromBytes(s.content), s)
			if err == nil {
				err = f.Wait(ctx)
			}
			cancel()
			resting, cancel := context.WithTimeout(t.Context(), time.Minute)
			require.NoError(t, fills.HandOver(resting))
			cancel()
			if s.askedWrong() > 0 {
				wrong++
			}
			if err == nil {
				break
			}
			require.NotErrorIs(t, err, fill.ErrBadBlob)
		}
		assert.Equal(t, 1, wrong, "only one request used the wrong place")
	})
}
