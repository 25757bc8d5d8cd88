package fill_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/backend/backendtest/memory"
	"github.com/entrepot-io/entrepot/mirror/ability"
	"github.com/entrepot-io/entrepot/mirror/fill"
	"github.com/entrepot-io/entrepot/mirror/layout"
	"github.com/entrepot-io/entrepot/mirror/lease"
)

var errTrouble = statusError(http.StatusInternalServerError)

// refusing is a store that refuses chosen requests.
type refusing struct {
	*memory.Store
	refuse func(event string, nth int) error // nil: nothing is refused

	mu     sync.Mutex
	events map[string]int
	over   chan struct{} // ends hanging calls when closed
}

var (
	errHang = errors.New("no answer, ever")
	errDeaf = errors.New("no answer, and it does not heed its context")
)

func (s *refusing) meet(ctx context.Context, event string) error {
	s.mu.Lock()
	if s.events == nil {
		s.events = map[string]int{}
	}
	s.events[event]++
	n, refuse := s.events[event], s.refuse
	s.mu.Unlock()
	if refuse == nil {
		return nil
	}
	err := refuse(event, n)
	switch {
	case errors.Is(err, errHang):
		<-ctx.Done()
		return ctx.Err()
	case errors.Is(err, errDeaf):
		<-s.over
	}
	return err
}

func (s *refusing) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refuse = nil
}

func (s *refusing) met(event string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.events[event]
}

func (s *refusing) Put(ctx context.Context, key string, body io.Reader, size int64, o backend.PutOptions) (backend.Object, error) {
	if err := s.meet(ctx, event("put", key)); err != nil {
		return backend.Object{}, err
	}
	return s.Store.Put(ctx, key, body, size, o)
}

func (s *refusing) Compose(ctx context.Context, key string, parts []backend.Object, o backend.PutOptions) (backend.Object, error) {
	if err := s.meet(ctx, "compose"); err != nil {
		return backend.Object{}, err
	}
	return s.Store.Compose(ctx, key, parts, o)
}

func (s *refusing) Delete(ctx context.Context, key string) error {
	if err := s.meet(ctx, event("delete", key)); err != nil {
		return err
	}
	return s.Store.Delete(ctx, key)
}

// left lists the keys in the store.
func (s *refusing) left(t *testing.T) (left []string) {
	t.Helper()
	for o, err := range s.List(context.Background(), "", "") {
		require.NoError(t, err)
		left = append(left, o.Key)
	}
	return left
}

// port is a process with such a store and virtual time.
type port struct {
	*fill.Fills
	store *refusing
}

func newPort(t *testing.T, memorySize int64, refuse func(event string, nth int) error) *port {
	store := &refusing{Store: new(memory.Store), refuse: refuse, over: make(chan struct{})}
	p := &port{store: store, Fills: fill.New(fill.Config{
		Store: store, Realm: layout.Public, SegmentSize: segmentSize, Memory: memorySize, Connections: 2,
		Abilities: ability.New(ability.Config{
			Store: store, Log: slog.New(slog.DiscardHandler), Support: &lease.Support{Able: true},
		}),
		Log: slog.New(slog.DiscardHandler), Metrics: fill.NewMetrics(nil),
	})}
	t.Cleanup(func() {
		close(store.over)
		p.Close()
		time.Sleep(time.Minute)
	})
	return p
}

// pull reads the blob from an offset, with a pause after each read, and returns what arrived.
func (p *port) pull(t *testing.T, l fill.Source, content []byte, offset int64, pause time.Duration) ([]byte, error) {
	t.Helper()
	f, err := p.Join(t.Context(), digest.FromBytes(content), l)
	if err != nil {
		return nil, err
	}
	body := f.Open(t.Context(), offset)
	defer body.Close()
	var data []byte
	buf := make([]byte, segmentSize/3)
	for {
		n, err := body.Read(buf)
		data = append(data, buf[:n]...)
		if err == io.EOF {
			return data, nil
		}
		if err != nil {
			return data, err
		}
		time.Sleep(pause)
	}
}

// always refuses one kind of call, starting with the nth.
func always(kind string, from int, err error) func(string, int) error {
	return func(event string, nth int) error {
		if strings.HasPrefix(event, kind) && nth >= from {
			return err
		}
		return nil
	}
}

func TestRefusedBlobPassesThrough(t *testing.T) {
	for name, refuse := range map[string]func(string, int) error{
		"full for all":              always("put", 1, backend.ErrFull),
		"read-only for all":         always("put", 1, backend.ErrReadOnly),
		"all denied":                func(event string, _ int) error { return denyWrites(event) },
		"all writes fail":           always("put", 1, errTrouble),
		"all writes hang":           always("put", 1, errHang),
		"full for segments":         always("put segment", 1, backend.ErrFull),
		"full in mid-fill":          always("put segment", 3, backend.ErrFull),
		"segments fail in mid-fill": always("put segment", 3, errTrouble),
		"segments hang in mid-fill": always("put segment", 3, errHang),
		"segments hang for good":    always("put segment", 3, errDeaf),
		"leases refused later":      always("put lease", 2, backend.ErrDenied),
		"leases fail later":         always("put lease", 2, errTrouble),
		"leases refused":            always("put lease", 1, backend.ErrFull),
		"blobs refused": func(event string, _ int) error {
			if event == "put blob" || event == "compose" {
				return backend.ErrFull
			}
			return nil
		},
		"blobs hang": func(event string, _ int) error {
			if event == "put blob" || event == "compose" {
				return errHang
			}
			return nil
		},
	} {
		for _, segments := range []int{0, 1, 3, 12} {
			t.Run(name+", segments "+string(rune('0'+segments/10))+string(rune('0'+segments%10)), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					l := newLink(segments, 100)
					if segments == 0 {
						l.content = []byte("tiny")
					}
					p := newPort(t, 4*segmentSize, refuse)
					var clients sync.WaitGroup
					for n := range 6 {
						clients.Go(func() {
							time.Sleep(time.Duration(n/2) * 300 * time.Millisecond)
							offset := int64(n%2) * int64(len(l.content)) / 2
							pause := []time.Duration{0, 0, 0, 5 * time.Millisecond, 700 * time.Millisecond, 12 * time.Second}[n]
							got, err := p.pull(t, l, l.content, offset, pause)
							assert.NoError(t, err, "client %d", n)
							assert.True(t, bytes.Equal(l.content[offset:], got), "client %d", n)
						})
					}
					clients.Wait()
					time.Sleep(3 * time.Minute)
					for _, key := range p.store.left(t) {
						assert.True(t, strings.HasPrefix(key, "public/blobs/") || denyWrites("delete") != nil && name == "all denied", key)
					}
					assert.Zero(t, p.Count())
					assert.True(t, l.room.TryAcquire(100), "all downloads have ended")
				})
			})
		}
	}
}

// denyWrites is a policy that permits only reads.
func denyWrites(event string) error {
	if strings.HasPrefix(event, "put") || strings.HasPrefix(event, "delete") || event == "compose" {
		return &backend.PermissionError{Action: "s3:" + event}
	}
	return nil
}

func TestNextRequestTriesTheStoreAgain(t *testing.T) {
	for _, kind := range []string{"put", "put lease", "put segment", "compose"} {
		t.Run(kind, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLink(6, 100)
				p := newPort(t, 4*segmentSize, always(kind, 1, backend.ErrFull))
				got, err := p.pull(t, l, l.content, 0, 0)
				require.NoError(t, err)
				require.True(t, bytes.Equal(l.content, got))
				p.store.stop()
				time.Sleep(time.Minute)
				f, err := p.Join(t.Context(), digest.FromBytes(l.content), l)
				require.NoError(t, err)
				require.NoError(t, f.Wait(t.Context()))
				time.Sleep(time.Minute)
				assert.Equal(t, []string{layout.Public.Blob(digest.FromBytes(l.content))}, p.store.left(t))
			})
		})
	}
}

func TestUnstoredBlobIsFetchedOnceForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLink(20, 100)
		p := newPort(t, 4*segmentSize, always("put", 1, backend.ErrFull))
		var clients sync.WaitGroup
		for range 5 {
			clients.Go(func() {
				got, err := p.pull(t, l, l.content, 0, time.Millisecond)
				assert.NoError(t, err)
				assert.True(t, bytes.Equal(l.content, got))
			})
		}
		clients.Wait()
		assert.Len(t, l.asked, 20)
	})
}

func TestSlowClientDoesNotDelayAFastOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLink(20, 100)
		p := newPort(t, 2*segmentSize, always("put", 1, backend.ErrFull))
		done := make(chan struct{})
		go func() {
			defer close(done)
			got, err := p.pull(t, l, l.content, 0, time.Minute) // stalled most of the time
			assert.NoError(t, err)
			assert.True(t, bytes.Equal(l.content, got))
		}()
		time.Sleep(roundTrip)
		began := time.Now()
		got, err := p.pull(t, l, l.content, 0, 0)
		require.NoError(t, err)
		require.True(t, bytes.Equal(l.content, got))
		assert.Less(t, time.Since(began), 2*20*(10*roundTrip+roundTrip))
		time.Sleep(time.Minute)
		assert.Zero(t, p.Count(), "nothing is kept for the slow client")
		<-done
		assert.True(t, l.room.TryAcquire(100), "all downloads have ended")
	})
}

func TestStalledClientHoldsNoSlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLink(8, 1)
		p := newPort(t, 2*segmentSize, always("put", 1, backend.ErrFull))
		f, err := p.Join(t.Context(), digest.FromBytes(l.content), l)
		require.NoError(t, err)
		stalled := f.Open(t.Context(), 0)
		defer stalled.Close()
		got, err := p.pull(t, l, l.content, 0, 0)
		require.NoError(t, err)
		require.True(t, bytes.Equal(l.content, got))
		time.Sleep(time.Minute)
		_, err = io.ReadFull(stalled, make([]byte, 100)) // needs another fetch
		require.NoError(t, err)
		assert.False(t, l.room.TryAcquire(1))
		time.Sleep(20 * time.Second)
		require.True(t, l.room.TryAcquire(1))
		l.room.Release(1)
		rest, err := io.ReadAll(stalled)
		require.NoError(t, err)
		assert.True(t, bytes.Equal(l.content[100:], rest))
	})
}

func TestUnreadUnstoredBlobIsNotFetched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLink(100, 100)
		p := newPort(t, 100*segmentSize, always("put", 1, backend.ErrFull))
		f, err := p.Join(t.Context(), digest.FromBytes(l.content), l)
		require.NoError(t, err)
		f.Open(t.Context(), 0).Close()
		time.Sleep(10 * time.Second)
		assert.Zero(t, p.Count())
		assert.Less(t, len(l.asked), 20)
		assert.ErrorIs(t, f.Wait(t.Context()), fill.ErrUnstored)
	})
}

// The store never answers and ignores cancellation.
func TestCloseDoesNotWaitForHangingStore(t *testing.T) {
	for kind, hang := range map[string]error{"put lease": errHang, "put segment": errDeaf, "put blob": errDeaf, "compose": errDeaf, "delete": errDeaf} {
		t.Run(kind, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLink(6, 100)
				if kind == "put blob" {
					l = newLink(1, 100)
				}
				p := newPort(t, 8*segmentSize, always(kind, 1, hang))
				joining, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				_, _ = p.Join(joining, digest.FromBytes(l.content), l)
				time.Sleep(6 * time.Second)
				began := time.Now()
				p.Close()
				assert.LessOrEqual(t, time.Since(began), 30*time.Second)
			})
		})
	}
}

// Only sixteen segments can be stored at a time.
func TestHangingStoreDoesNotStopOtherFills(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPort(t, 200*segmentSize, always("put segment", 1, errHang))
		var clients sync.WaitGroup
		for i := range 40 {
			l := newLink(3, 100)
			l.content[0] = byte(i)
			clients.Go(func() {
				got, err := p.pull(t, l, l.content, 0, 0)
				assert.NoError(t, err)
				assert.True(t, bytes.Equal(l.content, got))
			})
		}
		began := time.Now()
		clients.Wait()
		assert.Less(t, time.Since(began), 5*time.Minute)
	})
}

func TestRepeatedRefusalIsFinal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLink(3, 100)
		p := newPort(t, 8*segmentSize, always("put segment", 1, statusError(411)))
		got, err := p.pull(t, l, l.content, 0, 0)
		require.NoError(t, err)
		require.True(t, bytes.Equal(l.content, got))
		assert.LessOrEqual(t, p.store.met("put segment"), 6)
	})
}

// The leader gives up its lease while the store is slow to accept the blob. In the end the store accepts it.
func TestLateStoredBlobCountsAsStored(t *testing.T) {
	for _, segments := range []int{1, 6} {
		synctest.Test(t, func(t *testing.T) {
			l := newLink(segments, 100)
			p := newPort(t, 8*segmentSize, func(event string, nth int) error {
				switch {
				case event == "put lease" && nth > 2:
					return errTrouble
				case event == "put blob" || event == "compose":
					time.Sleep(30 * time.Second)
				}
				return nil
			})
			f, err := p.Join(t.Context(), digest.FromBytes(l.content), l)
			require.NoError(t, err)
			got, err := p.pull(t, l, l.content, 0, 0)
			require.NoError(t, err)
			require.True(t, bytes.Equal(l.content, got))
			time.Sleep(2 * time.Minute)
			assert.True(t, f.Stored())
			assert.NoError(t, f.Wait(t.Context()))
			assert.Equal(t, []string{layout.Public.Blob(digest.FromBytes(l.content))}, p.store.left(t))
			got, err = io.ReadAll(f.Open(t.Context(), 0))
			require.NoError(t, err)
			assert.True(t, bytes.Equal(l.content, got))
		})
	}
}

type statusError int

func (statusError) Error() string         { return "refused" }
func (s statusError) HTTPStatusCode() int { return int(s) }

// The leader, on another replica, finds the store full in mid-fill.
func TestFollowersFetchWhenTheLeaderGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLink(30, 100)
		leader := newPort(t, 8*segmentSize, always("put segment", 6, backend.ErrFull))
		follower := newPort(t, 8*segmentSize, nil)
		follower.store.Store = leader.store.Store
		follower.store.refuse = leader.store.refuse
		var clients sync.WaitGroup
		for n, p := range []*port{leader, follower, leader, follower} {
			clients.Go(func() {
				time.Sleep(time.Duration(n) * 700 * time.Millisecond)
				got, err := p.pull(t, l, l.content, 0, 0)
				assert.NoError(t, err, "client %d", n)
				assert.True(t, bytes.Equal(l.content, got), "client %d", n)
			})
		}
		clients.Wait()
		time.Sleep(3 * time.Minute)
		assert.Empty(t, leader.store.left(t))
	})
}

// contradicting is a store whose HEAD of a blob returns a wrong size.
type contradicting struct {
	*refusing
	size atomic.Int64
}

func (s *contradicting) Stat(ctx context.Context, key string) (backend.Object, error) {
	if strings.HasPrefix(key, "public/blobs/") && s.size.Load() != 0 {
		return backend.Object{Key: key, Size: max(0, s.size.Load())}, nil
	}
	return s.Store.Stat(ctx, key)
}

func TestContradictingStoredSizeIsIgnored(t *testing.T) {
	for name, size := range map[string]int64{"nothing": -1, "another": 17, "more": 1 << 40} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLink(12, 100)
				shared := &memory.Store{}
				var ports []*fill.Fills
				for range 2 {
					store := &contradicting{refusing: &refusing{Store: shared}}
					fills := fill.New(fill.Config{
						Store: store, Realm: layout.Public, SegmentSize: segmentSize, Connections: 2, Abilities: abilities(store, true),
						Log: slog.New(slog.DiscardHandler), Metrics: fill.NewMetrics(nil),
					})
					defer fills.Close()
					ports = append(ports, fills)
					go func() {
						time.Sleep(2 * time.Second)
						store.size.Store(size)
						time.Sleep(time.Minute)
						store.size.Store(0)
					}()
				}
				var clients sync.WaitGroup
				for n, fills := range ports {
					clients.Go(func() {
						time.Sleep(time.Duration(n) * time.Second)
						f, err := fills.Join(t.Context(), digest.FromBytes(l.content), l)
						if !assert.NoError(t, err, "replica %d", n) {
							return
						}
						got, err := (&port{Fills: fills}).pull(t, l, l.content, 0, 0)
						assert.NoError(t, err, "replica %d", n)
						assert.True(t, bytes.Equal(l.content, got), "replica %d", n)
						time.Sleep(2 * time.Minute)
						if last := f.Last(); last.Stored() {
							assert.EqualValues(t, len(l.content), last.Size(), "replica %d", n)
						}
					})
				}
				clients.Wait()
			})
		})
	}
}

// After one failed write of a lease, a replica must not fetch a blob that another replica may be fetching.
func TestLeaseTakenAfterOneFailedWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLink(3, 100)
		p := newPort(t, 10*segmentSize, func(event string, nth int) error {
			if event == "put lease" && nth == 1 {
				return errTrouble
			}
			return nil
		})
		got, err := p.pull(t, l, l.content, 0, 0)
		require.NoError(t, err)
		assert.True(t, bytes.Equal(l.content, got))
		assert.Greater(t, p.store.met("put lease"), 1)
	})
}
