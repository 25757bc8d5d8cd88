package s3rules_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"testing"
	"testing/iotest"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/backend/internal/s3rules"
)

const large = 3 << 20

// breaking is a store with one object. The body of the nth GET breaks off after 1,000 bytes with breaks[n-1]; later ones are
// complete.
type breaking struct {
	etag   string
	data   []byte
	breaks []error
	meta   func(get int, h http.Header) // changes the response's header
	ranges []string                     // requested
}

func (b *breaking) get(_ context.Context, rangeHeader string) (http.Header, io.ReadCloser, error) {
	b.ranges = append(b.ranges, rangeHeader)
	n := len(b.ranges)
	h := http.Header{"Etag": {b.etag}, "Content-Length": {fmt.Sprint(len(b.data))}}
	data := b.data
	if rangeHeader != "" {
		var from, to int
		if _, err := fmt.Sscanf(rangeHeader, "bytes=%d-%d", &from, &to); err != nil {
			return nil, nil, err
		}
		data = data[from : to+1]
		h.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, to, len(b.data)))
	}
	if b.meta != nil {
		b.meta(n, h)
	}
	var body io.Reader = bytes.NewReader(data)
	if n <= len(b.breaks) {
		body = io.MultiReader(bytes.NewReader(data[:1000]), iotest.ErrReader(b.breaks[n-1]))
	}
	return h, io.NopCloser(body), nil
}

func (b *breaking) read(t *testing.T) ([]byte, error) {
	t.Helper()
	body, o, err := s3rules.Get(t.Context(), "a", backend.Range{}, b.get)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	require.EqualValues(t, len(b.data), o.Size)
	return io.ReadAll(body)
}

func TestBrokenBodyIsResumed(t *testing.T) {
	broken, late := errors.New("connection reset"), fmt.Errorf("%w: nothing for 20s", backend.ErrLate)
	for name, c := range map[string]struct {
		size   int
		etag   string
		breaks []error
		meta   func(int, http.Header)
		gets   int
		fails  string
	}{
		"breaks once":                      {breaks: []error{broken}, gets: 2},
		"breaks four times":                {breaks: []error{broken, broken, broken, broken}, gets: 5},
		"breaks five times":                {breaks: []error{broken, broken, broken, broken, broken}, gets: 5, fails: "connection reset"},
		"stalls once":                      {breaks: []error{late}, gets: 2},
		"stalls twice":                     {breaks: []error{late, late}, gets: 2, fails: "nothing for 20s"},
		"has no ETag":                      {etag: "none", breaks: []error{broken}, gets: 1, fails: "connection reset"},
		"has a weak ETag":                  {etag: `W/"x"`, breaks: []error{broken}, gets: 1, fails: "connection reset"},
		"small, breaks twice":              {size: 2000, breaks: []error{broken, io.ErrUnexpectedEOF}, gets: 3},
		"small, breaks four times":         {size: 2000, breaks: []error{broken, broken, broken, broken}, gets: 4, fails: "connection reset"},
		"small, stalls twice":              {size: 2000, breaks: []error{late, late}, gets: 2, fails: "nothing for 20s"},
		"small, has no ETag":               {size: 2000, etag: "none", breaks: []error{broken}, gets: 2},
		"second response has another ETag": {breaks: []error{broken}, meta: second("Etag", `"y"`), gets: 2, fails: "has changed"},
		"second response has another size": {breaks: []error{broken}, meta: second("Content-Range", "bytes 1000-3145727/4000000"), gets: 2, fails: "has changed"},
		"second response is not a part":    {breaks: []error{broken}, meta: second("Content-Range", ""), gets: 2, fails: "Content-Range"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := &breaking{etag: `"x"`, data: make([]byte, large), breaks: c.breaks, meta: c.meta}
				if c.size != 0 {
					b.data = b.data[:c.size]
				}
				if c.etag == "none" {
					b.etag = ""
				} else if c.etag != "" {
					b.etag = c.etag
				}
				for i := range b.data {
					b.data[i] = byte(i * 7)
				}
				got, err := b.read(t)
				require.Len(t, b.ranges, c.gets)
				if c.fails != "" {
					require.ErrorContains(t, err, c.fails)
					require.True(t, bytes.HasPrefix(b.data, got))
					return
				}
				require.NoError(t, err)
				require.True(t, bytes.Equal(b.data, got))
				if c.size == 0 {
					require.Equal(t, "bytes=1000-3145727", b.ranges[1])
				}
			})
		})
	}
}

// second changes a header of the second response.
func second(name, value string) func(int, http.Header) {
	return func(get int, h http.Header) {
		if get == 2 {
			h.Set(name, value)
		}
	}
}

func TestClosedBodyIsNotResumed(t *testing.T) {
	b := &breaking{etag: `"x"`, data: make([]byte, large), breaks: []error{errors.New("closed")}}
	body, _, err := s3rules.Get(t.Context(), "a", backend.Range{}, b.get)
	require.NoError(t, err)
	require.NoError(t, body.Close())
	_, err = io.ReadAll(body)
	require.Error(t, err)
	require.Len(t, b.ranges, 1)
}
