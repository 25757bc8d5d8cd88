package backendtest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/backend"
)

// stream is a body that can be read once. It checks that no read exceeds the contract's buffer.
type stream struct {
	t testing.TB
	r io.Reader
}

func (s stream) Read(p []byte) (int, error) {
	if len(p) > 64<<10 {
		s.t.Errorf("read with a buffer of %d bytes", len(p))
	}
	return s.r.Read(p)
}

// rewindable hides all methods of a reader except Read and Seek.
type rewindable struct{ io.ReadSeeker }

var errBody = errors.New("broken body")

// failing is a body that fails at its end.
type failing struct{ *bytes.Reader }

func (f failing) Read(p []byte) (int, error) {
	if f.Len() == 0 {
		return 0, errBody
	}
	return f.Reader.Read(p)
}

// requireBodyError checks that err blames the body, not the store.
func requireBodyError(t *testing.T, err error) {
	t.Helper()
	_, ok := errors.AsType[*backend.BodyError](err)
	require.True(t, ok, err)
	require.False(t, backend.Transient(err), err)
}

var bodyPromises = []promise{
	{name: "a body that ends early is an error and nothing is stored", check: func(t *testing.T, s backend.Store) {
		for _, size := range []int{1, 100_000, PartSize + 100_000} {
			data := content("short", size-1)
			for name, body := range map[string]io.Reader{
				"rewindable": rewindable{bytes.NewReader(data)}, "stream": stream{t, bytes.NewReader(data)},
			} {
				_, err := s.Put(t.Context(), "dir/short", body, int64(size), backend.PutOptions{})
				require.ErrorIs(t, err, io.ErrUnexpectedEOF, "%s of %d bytes", name, size)
				requireBodyError(t, err)
				requireNothing(t, s, "dir/short")
			}
		}
	}},
	{name: "a body that fails is an error and nothing is stored", check: func(t *testing.T, s backend.Store) {
		for _, size := range []int{1, 100_000, PartSize + 100_000} {
			data := content("failing", size-1)
			for name, body := range map[string]io.Reader{
				"rewindable": rewindable{failing{bytes.NewReader(data)}}, "stream": stream{t, failing{bytes.NewReader(data)}},
			} {
				_, err := s.Put(t.Context(), "dir/failing", body, int64(size), backend.PutOptions{})
				require.ErrorIs(t, err, errBody, "%s of %d bytes", name, size)
				requireBodyError(t, err)
				requireNothing(t, s, "dir/failing")
			}
		}
	}},
	{name: "a failing body leaves an existing object", check: func(t *testing.T, s backend.Store) {
		data := content("old", 1000)
		put(t, s, "dir/kept", data, backend.PutOptions{})
		_, err := s.Put(t.Context(), "dir/kept", stream{t, failing{bytes.NewReader(data[:10])}}, 1000, backend.PutOptions{})
		require.ErrorIs(t, err, errBody)
		requireObject(t, s, "dir/kept", data)
	}},
	{name: "Put reads nothing past the size", check: func(t *testing.T, s backend.Store) {
		for _, size := range []int{0, 1000, PartSize + 1000} {
			data := content("long", size+1000)
			for name, wrap := range map[string]func(io.ReadSeeker) io.Reader{
				"rewindable": func(r io.ReadSeeker) io.Reader { return rewindable{r} },
				"stream":     func(r io.ReadSeeker) io.Reader { return stream{t, r} },
			} {
				r := bytes.NewReader(data)
				_, err := s.Put(t.Context(), "dir/long", wrap(r), int64(size), backend.PutOptions{})
				require.NoError(t, err)
				require.Equal(t, 1000, r.Len(), "%s of %d bytes", name, size)
				requireObject(t, s, "dir/long", data[:size])
			}
		}
	}},
	{name: "a body begins at its reader's position", check: func(t *testing.T, s backend.Store) {
		data := content("offset", PartSize+5000)
		for _, size := range []int{1000, PartSize + 1000} {
			r := bytes.NewReader(data)
			_, err := r.Seek(123, io.SeekStart)
			require.NoError(t, err)
			o := backend.PutOptions{SHA256: sha(data[123 : 123+size])}
			_, err = s.Put(t.Context(), "dir/offset", rewindable{r}, int64(size), o)
			require.NoError(t, err)
			requireObject(t, s, "dir/offset", data[123:123+size])
		}
	}},
	{name: "a negative size is an error", check: func(t *testing.T, s backend.Store) {
		_, err := s.Put(t.Context(), "dir/negative", bytes.NewReader(nil), -1, backend.PutOptions{})
		require.Error(t, err)
		requireNothing(t, s, "dir/negative")
	}},
	{name: "nothing is visible during a Put", check: func(t *testing.T, s backend.Store) {
		for _, size := range []int{100_000, 2*PartSize + 1000} {
			data := content("slow", size)
			at := make(chan struct{})
			body := io.MultiReader(bytes.NewReader(data[:size/2]), &gate{reached: at, open: at}, bytes.NewReader(data[size/2:]))
			done := make(chan error, 1)
			go func() {
				_, err := s.Put(t.Context(), "dir/slow", stream{t, body}, int64(size), backend.PutOptions{})
				done <- err
			}()
			<-at // half of the body was read
			_, err := s.Stat(t.Context(), "dir/slow")
			assert.ErrorIs(t, err, backend.ErrNotFound)
			_, _, err = s.Get(t.Context(), "dir/slow", backend.Range{})
			assert.ErrorIs(t, err, backend.ErrNotFound)
			assert.Empty(t, keys(t, s, "", ""))
			at <- struct{}{}
			require.NoError(t, <-done)
			requireObject(t, s, "dir/slow", data)
			require.NoError(t, s.Delete(t.Context(), "dir/slow"))
		}
	}},
	{name: "large bodies need small buffers", alone: true, check: func(t *testing.T, s backend.Store) {
		// 4 MiB is sent in one request, 21 MiB in parts. A buffer for a part would show in both.
		for _, size := range []int{4 << 20, 4*PartSize + 1<<20} {
			data := content("large", size)
			allocated := func(do func()) uint64 {
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				do()
				runtime.ReadMemStats(&after)
				return after.TotalAlloc - before.TotalAlloc
			}
			limit := uint64(2 << 20)
			require.Less(t, allocated(func() {
				_, err := s.Put(t.Context(), "dir/large", stream{t, bytes.NewReader(data)}, int64(size), backend.PutOptions{})
				require.NoError(t, err)
			}), limit, "bytes allocated to put %d", size)
			require.Less(t, allocated(func() {
				body, _, err := s.Get(t.Context(), "dir/large", backend.Range{})
				require.NoError(t, err)
				n, err := io.Copy(writerOnly{io.Discard}, body)
				require.NoError(t, err)
				require.EqualValues(t, size, n)
				require.NoError(t, body.Close())
			}), limit, "bytes allocated to get %d", size)
		}
	}},
}

// gate is an empty reader that signals when it is reached, and then waits until it is opened.
type gate struct {
	reached chan<- struct{}
	open    <-chan struct{}
}

func (g *gate) Read([]byte) (int, error) {
	g.reached <- struct{}{}
	<-g.open
	return 0, io.EOF
}

// writerOnly hides ReadFrom, which would use its own buffer.
type writerOnly struct{ io.Writer }

// until is a body that cancels a context after left bytes, and continues.
type until struct {
	io.Reader
	left   int
	cancel context.CancelFunc
}

func (u *until) Read(p []byte) (int, error) {
	n, err := u.Reader.Read(p)
	if u.left -= n; u.left <= 0 {
		u.cancel()
	}
	return n, err
}
