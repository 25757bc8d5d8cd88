package s3rules_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/backend/internal/s3rules"
)

// body records Close.
type body struct {
	io.Reader
	closed bool
}

func (b *body) Close() error { b.closed = true; return nil }

func header(pairs ...string) http.Header {
	h := http.Header{}
	for i := 0; i < len(pairs); i += 2 {
		h.Set(pairs[i], pairs[i+1])
	}
	return h
}

func TestUnexpectedResponseIsAnError(t *testing.T) {
	for name, c := range map[string]struct {
		r backend.Range
		h http.Header
	}{
		"no size":                 {backend.Range{}, header()},
		"negative size":           {backend.Range{}, header("Content-Length", "-5")},
		"part of unknown size":    {backend.Range{Length: 5}, header("Content-Length", "5", "Content-Range", "bytes 0-4/*")},
		"whole instead of part":   {backend.Range{Length: 5}, header("Content-Length", "10")},
		"whole instead of end":    {backend.Range{Offset: 5}, header("Content-Length", "10")},
		"another part":            {backend.Range{Offset: 5}, header("Content-Length", "5", "Content-Range", "bytes 0-4/10")},
		"shorter part":            {backend.Range{Length: 5}, header("Content-Length", "4", "Content-Range", "bytes 0-3/10")},
		"longer part":             {backend.Range{Length: 5}, header("Content-Length", "6", "Content-Range", "bytes 0-5/10")},
		"part instead of whole":   {backend.Range{}, header("Content-Length", "5", "Content-Range", "bytes 0-4/10")},
		"part past the end":       {backend.Range{Offset: 10}, header("Content-Length", "0", "Content-Range", "bytes 10-9/10")},
		"part of an empty object": {backend.Range{Length: 5}, header("Content-Length", "0")},
	} {
		b := &body{Reader: bytes.NewReader(make([]byte, 100))}
		_, _, err := s3rules.OpenBody("key", c.r, c.h, b)
		require.Error(t, err, name)
		require.True(t, b.closed, name)
	}
}

func TestRangeOfWholeObjectMayReturnAll(t *testing.T) {
	for _, r := range []backend.Range{{Length: 5}, {Length: 50}} {
		got, o, err := s3rules.OpenBody("key", r, header("Content-Length", "5"), &body{Reader: bytes.NewReader([]byte("01234"))})
		require.NoError(t, err)
		require.EqualValues(t, 5, o.Size)
		require.NoError(t, iotest.TestReader(got, []byte("01234")))
	}
}

func TestBrokenBodyIsAnError(t *testing.T) {
	h := header("Content-Length", "10")
	for name, c := range map[string]struct {
		r    io.Reader
		want error
	}{
		"early end": {bytes.NewReader([]byte("01234")), io.ErrUnexpectedEOF},
		"error":     {io.MultiReader(bytes.NewReader([]byte("01234")), iotest.ErrReader(errReset)), errReset},
		"empty":     {bytes.NewReader(nil), io.ErrUnexpectedEOF},
	} {
		r, _, err := s3rules.OpenBody("key", backend.Range{}, h, &body{Reader: c.r})
		require.NoError(t, err)
		_, err = io.ReadAll(r)
		require.ErrorIs(t, err, c.want, name)
		require.ErrorContains(t, err, "read key: ")
	}
}

var errReset = errors.New("connection reset")

func TestBodyEndsAtItsLength(t *testing.T) {
	b := &body{Reader: bytes.NewReader([]byte("0123456789 and more"))}
	r, _, err := s3rules.OpenBody("key", backend.Range{}, header("Content-Length", "10"), b)
	require.NoError(t, err)
	got, err := io.ReadAll(r)
	require.NoError(t, err)
	require.Equal(t, "0123456789", string(got))
	require.NoError(t, r.Close())
	require.True(t, b.closed)
}
