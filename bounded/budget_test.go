package bounded_test

import (
	"context"
	"errors"
	"io"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/bounded"
)

const mib = 1 << 20

// briefly returns a context for calls that wait until it ends.
func briefly(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	t.Cleanup(cancel)
	return ctx
}

func TestBufferTakesRoomWhileReferenced(t *testing.T) {
	b := bounded.NewBudget(mib)
	first, err := b.Make(t.Context(), mib/2+1)
	require.NoError(t, err)
	part := first[mib/4 : mib/4+1]
	_, err = b.Make(briefly(t), mib/2)
	require.ErrorIs(t, err, bounded.ErrFull)
	assert.EqualValues(t, 1, b.Refused())
	assert.EqualValues(t, mib/2+1, b.Used())
	runtime.KeepAlive(part)
	for range 20 { // garbage makes room
		_, err = b.Make(t.Context(), mib/2)
		require.NoError(t, err)
	}
	_, err = b.Make(t.Context(), mib+1)
	require.ErrorIs(t, err, bounded.ErrFull)
}

func TestConcurrentBuffersStayWithinBudget(t *testing.T) {
	b := bounded.NewBudget(4 * mib)
	var held, most atomic.Int64
	var wg sync.WaitGroup
	for i := range 40 {
		wg.Go(func() {
			buf, err := b.Make(t.Context(), mib)
			if !assert.NoError(t, err) {
				return
			}
			if n := held.Add(1); n > most.Load() {
				most.Store(n)
			}
			time.Sleep(time.Duration(i%5) * time.Millisecond)
			held.Add(-1)
			runtime.KeepAlive(buf)
		})
	}
	wg.Wait()
	assert.LessOrEqual(t, most.Load(), int64(4))
}

func TestCanceledCallerStopsWaiting(t *testing.T) {
	b := bounded.NewBudget(mib)
	held, err := b.Make(t.Context(), mib)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(20*time.Millisecond, cancel)
	_, err = b.Make(ctx, mib)
	require.ErrorIs(t, err, context.Canceled)
	runtime.KeepAlive(held)
}

func TestSmallBuffersTakeNoRoom(t *testing.T) {
	b := bounded.NewBudget(1)
	for range 1000 {
		_, err := b.Make(t.Context(), bounded.Small)
		require.NoError(t, err)
	}
	assert.Zero(t, b.Used())
	buf, err := bounded.Unlimited().Make(t.Context(), mib)
	require.NoError(t, err)
	assert.Len(t, buf, mib)
}

func TestHolderOfRoomHardlyWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bounded.NewBudget(mib)
		hold := b.Hold()
		require.NoError(t, hold.Take(t.Context(), mib))
		began := time.Now()
		_, err := b.Make(bounded.Holding(t.Context()), mib)
		require.ErrorIs(t, err, bounded.ErrFull)
		another := b.Hold()
		require.ErrorIs(t, another.Take(t.Context(), 1), bounded.ErrFull)
		assert.Less(t, time.Since(began), time.Second)
		_, err = b.Make(t.Context(), mib)
		require.ErrorIs(t, err, bounded.ErrFull)
		assert.Less(t, time.Since(began), 12*time.Second)
		hold.Release()
		hold.Release()
		require.NoError(t, another.Take(t.Context(), mib))
		another.Release()
		assert.Zero(t, b.Used())
	})
}

// The readers are clients to which a buffer is being sent.
func TestSlowReadersCutWhileOthersWait(t *testing.T) {
	for name, test := range map[string]struct {
		takes int // bytes per second
		cut   bool
	}{
		"reads nothing": {0, true},
		"reads slowly":  {1000, true},
		"reads fast":    {100 << 10, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := bounded.NewBudget(mib)
				hold := b.Hold()
				require.NoError(t, hold.Take(t.Context(), mib))
				reader := b.Reader(hold.Release)
				var taking sync.WaitGroup
				ctx, cancel := context.WithCancel(t.Context())
				taking.Go(func() {
					for ctx.Err() == nil && test.takes > 0 {
						time.Sleep(time.Second)
						reader.Took(test.takes)
					}
				})
				time.Sleep(time.Hour) // no caller waits, so no reader is cut off
				assert.Equal(t, test.cut, getsRoom(t, b))
				cancel()
				taking.Wait()
				assert.Equal(t, test.cut, reader.Done())
			})
		})
	}
}

// getsRoom reports whether a waiting caller gets room.
func getsRoom(t *testing.T, b *bounded.Budget) bool {
	t.Helper()
	hold := b.Hold()
	defer hold.Release()
	_, err := b.Make(t.Context(), mib)
	return err == nil
}

func TestReadBodies(t *testing.T) {
	b := bounded.NewBudget(64 * mib)
	broken := errors.New("broken")
	for name, test := range map[string]struct {
		length, size, most int64
		err                error
	}{
		"empty":                             {0, 0, 10, nil},
		"small":                             {10, 10, 10, nil},
		"large":                             {3 * mib, 3 * mib, 8 * mib, nil},
		"small, of unknown size":            {10, -1, 10, nil},
		"empty, of unknown size":            {0, -1, 10, nil},
		"as large as the limit":             {8 * mib, -1, 8 * mib, nil},
		"large, of unknown size":            {5*mib + 1, -1, 8 * mib, nil},
		"slightly larger than small":        {bounded.Small + 1, -1, 8 * mib, nil},
		"announced size too large":          {10, 11, 10, bounded.ErrTooLarge},
		"small but above the limit":         {11, -1, 10, bounded.ErrTooLarge},
		"too large":                         {8*mib + 1, -1, 8 * mib, bounded.ErrTooLarge},
		"shorter than announced":            {9, 10, 10, io.ErrUnexpectedEOF},
		"empty instead of large":            {0, mib, 8 * mib, io.ErrUnexpectedEOF},
		"small and breaks, of unknown size": {-10, -1, 8 * mib, broken},
		"large and breaks, of unknown size": {-3 * mib, -1, 8 * mib, broken},
		"breaks":                            {-10, 20, 8 * mib, broken},
	} {
		t.Run(name, func(t *testing.T) {
			text := strings.Repeat("0123456789", int(max(test.length, -test.length))/10+1)[:max(test.length, -test.length)]
			var r io.Reader = strings.NewReader(text)
			if test.length < 0 {
				r = io.MultiReader(r, iotest.ErrReader(broken))
			}
			got, err := b.Read(t.Context(), iotest.HalfReader(r), test.size, test.most)
			require.ErrorIs(t, err, test.err)
			if err == nil {
				assert.Equal(t, text, string(got))
				assert.LessOrEqual(t, cap(got), max(2*len(got), 64))
			}
		})
	}
}

func TestBodyOfUnknownSizeIsTrimmed(t *testing.T) {
	b := bounded.NewBudget(mib + mib/2)
	got, err := b.Read(t.Context(), strings.NewReader(strings.Repeat("x", 100<<10)), -1, 8*mib)
	require.NoError(t, err)
	_, err = b.Make(t.Context(), mib) // waits for the garbage collector
	require.NoError(t, err)
	runtime.KeepAlive(got)
}

func TestAppendGrowsWithinBudget(t *testing.T) {
	b := bounded.NewBudget(mib)
	var buf []byte
	var err error
	for range 300 {
		if buf, err = b.Append(t.Context(), buf, []byte("0123456789"), make([]byte, 990)); err != nil {
			break
		}
	}
	require.NoError(t, err)
	assert.Len(t, buf, 300_000)
	assert.Equal(t, "0123456789", string(buf[299_000:299_010]))
	for err == nil {
		buf, err = b.Append(t.Context(), buf, make([]byte, 100_000))
	}
	require.ErrorIs(t, err, bounded.ErrFull)
	assert.LessOrEqual(t, len(buf), mib)
}

func TestSlowSourceLeavesRoom(t *testing.T) {
	b := bounded.NewBudget(4 * mib)
	slow, other := b.Share(2*mib), b.Share(2*mib)
	var wg sync.WaitGroup
	var hang []*io.PipeReader
	for _, size := range []int64{mib, -1} {
		body, end := io.Pipe()
		hang = append(hang, body)
		wg.Go(func() {
			_, err := slow.Read(t.Context(), body, size, mib)
			assert.ErrorIs(t, err, io.ErrClosedPipe)
		})
		_, err := end.Write(make([]byte, 2*bounded.Small)) // returns once the reader has its room
		require.NoError(t, err)
	}
	_, err := slow.Read(briefly(t), strings.NewReader(strings.Repeat("x", 2*bounded.Small)), -1, mib)
	require.ErrorIs(t, err, bounded.ErrFull)
	_, err = slow.Read(t.Context(), strings.NewReader("small"), -1, mib)
	require.NoError(t, err)
	_, err = other.Read(t.Context(), strings.NewReader(strings.Repeat("x", mib)), mib, mib)
	require.NoError(t, err)
	for _, body := range hang {
		body.Close()
	}
	wg.Wait()
	_, err = slow.Read(t.Context(), strings.NewReader(strings.Repeat("x", mib)), -1, mib)
	require.NoError(t, err)
}
