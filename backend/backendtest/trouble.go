package backendtest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/backend"
)

// Missing checks a store whose bucket does not exist.
func Missing(t *testing.T, s backend.Store) {
	for name, err := range each(t, s) {
		if name == "stat" {
			// A response to HEAD has no body, only the status 404.
			require.True(t, errors.Is(err, backend.ErrNoBucket) || errors.Is(err, backend.ErrNotFound), "stat: %v", err)
			continue
		}
		require.ErrorIs(t, err, backend.ErrNoBucket, name)
		require.NotErrorIs(t, err, backend.ErrNotFound, name)
	}
}

// Denied checks a store with wrong credentials. stat is the error of Stat, which may not be backend.ErrDenied: a response to
// HEAD has only a status.
func Denied(t *testing.T, s backend.Store, stat error) {
	for name, err := range each(t, s) {
		if name == "stat" {
			require.ErrorIs(t, err, stat)
			continue
		}
		require.ErrorIs(t, err, backend.ErrDenied, name)
	}

	// The store can refuse a request before it has read the body, while the transport is still sending it.
	data := content("unread", PartSize)
	for range 5 {
		body := &returned{stream: stream{t, bytes.NewReader(data)}}
		_, err := s.Put(t.Context(), "dir/key", body, PartSize, backend.PutOptions{SHA256: sha(data)})
		body.over = true
		require.Error(t, err)
	}
}

// returned is a body that must not be read after Put has returned.
type returned struct {
	stream
	over bool // not guarded, so that the race detector reports late reads
}

func (r *returned) Read(p []byte) (int, error) {
	if r.over {
		r.t.Error("body read after Put returned")
	}
	return r.stream.Read(p)
}

// each calls every method of the store with valid arguments.
func each(t *testing.T, s backend.Store) map[string]error {
	errs := make(map[string]error)
	_, _, errs["get"] = s.Get(t.Context(), "dir/key", backend.Range{})
	_, errs["stat"] = s.Stat(t.Context(), "dir/key")
	_, errs["put"] = s.Put(t.Context(), "dir/key", bytes.NewReader([]byte("x")), 1, backend.PutOptions{})
	_, errs["put a stream"] = s.Put(t.Context(), "dir/key", stream{t, bytes.NewReader([]byte("x"))}, 1, backend.PutOptions{})
	_, errs["put if absent"] = s.Put(t.Context(), "dir/key", bytes.NewReader([]byte("x")), 1, ifAbsent)
	_, errs["put in parts"] = s.Put(t.Context(), "dir/key", bytes.NewReader(make([]byte, PartSize+1)), PartSize+1, backend.PutOptions{})
	errs["delete"] = s.Delete(t.Context(), "dir/key")
	for _, err := range s.List(t.Context(), "dir/", "") {
		errs["list"] = err
	}
	if c, ok := s.(backend.Composer); ok {
		_, errs["compose"] = c.Compose(t.Context(), "dir/key", []backend.Object{{Key: "part", Size: 1, ETag: `"x"`}}, backend.PutOptions{})
	}
	return errs
}

// Outage checks a store whose server stops and starts again. The store must be empty.
func Outage(t *testing.T, s backend.Store, stop, start func()) {
	data := content("outage", overflow)
	put(t, s, "dir/outage", data, backend.PutOptions{})
	body, _, err := s.Get(t.Context(), "dir/outage", backend.Range{})
	require.NoError(t, err)
	defer body.Close()
	_, err = io.ReadFull(body, make([]byte, 1<<20))
	require.NoError(t, err)

	stop()
	n, err := io.Copy(io.Discard, body)
	require.Error(t, err, "after %d bytes more", n)
	require.NotErrorIs(t, err, io.EOF)
	require.True(t, backend.Transient(err), err)
	require.Less(t, n, int64(overflow-1<<20))

	// The context ends the store's retries.
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	_, _, err = s.Get(ctx, "dir/outage", backend.Range{})
	require.Error(t, err)
	require.NotErrorIs(t, err, backend.ErrNotFound)
	_, err = s.Put(ctx, "dir/new", bytes.NewReader(data), int64(len(data)), backend.PutOptions{})
	require.Error(t, err)
	if p, ok := s.(backend.Presigner); ok {
		_, _, err := signer(t, p).PresignGet("dir/outage", time.Now(), time.Hour)
		require.NoError(t, err, "presigning needs no server")
	}

	start()
	requireObject(t, s, "dir/outage", data)
	put(t, s, "dir/new", data[:1000], backend.PutOptions{})
	requireObject(t, s, "dir/new", data[:1000])
}
