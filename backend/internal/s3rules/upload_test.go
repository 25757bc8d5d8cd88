package s3rules_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/backend/internal/s3rules"
)

// recorder is an SDK that records requests. It reads each part to the middle, rewinds it if it can, and reads it again.
type recorder struct {
	calls   []string
	data    []byte
	copying atomic.Int32
}

func (r *recorder) Put(_ context.Context, _ string, body io.Reader, size int64, o backend.PutOptions) (backend.Object, error) {
	data, err := io.ReadAll(body)
	r.calls = append(r.calls, fmt.Sprintf("put %d of %d, sum %.4s", len(data), size, o.SHA256))
	r.data = data
	return backend.Object{}, err
}

func (r *recorder) Begin(context.Context, string, backend.PutOptions) (s3rules.Upload, error) {
	r.calls = append(r.calls, "begin")
	return r, nil
}

func (r *recorder) Part(_ context.Context, n int, body io.Reader, size int64, sha256 string) (string, error) {
	if s, ok := body.(io.Seeker); ok {
		if _, err := io.CopyN(io.Discard, body, size/2); err != nil {
			return "", err
		}
		if _, err := s.Seek(0, io.SeekStart); err != nil {
			return "", err
		}
	}
	data, err := io.ReadAll(body)
	r.calls = append(r.calls, fmt.Sprintf("part %d: %d of %d, sum %.4s", n, len(data), size, sha256))
	r.data = append(r.data, data...)
	return fmt.Sprint("tag", n), err
}

func (r *recorder) Copy(_ context.Context, n int, src backend.Object) (string, error) {
	r.copying.Add(1)
	defer r.copying.Add(-1)
	if src.ETag == "stale" {
		return "", s3rules.Failure{Status: 412}.Wrap("copy", src.Key, errors.New("stale"))
	}
	return fmt.Sprint("tag", n), nil
}

func (r *recorder) Stat(_ context.Context, key string) (backend.Object, error) {
	return backend.Object{Key: key, ETag: "fresh"}, nil
}

func (r *recorder) Complete(_ context.Context, tags []string) (backend.Object, error) {
	r.calls = append(r.calls, "complete "+strings.Join(tags, " "))
	return backend.Object{ETag: "whole"}, nil
}

func (r *recorder) Abort(ctx context.Context) (gone bool, err error) {
	if r.copying.Load() != 0 {
		return false, errors.New("aborted while the store copies")
	}
	r.calls = append(r.calls, "abort")
	return slices.Equal(r.calls[len(r.calls)-2:], []string{"abort", "abort"}), ctx.Err()
}

func sum(data []byte) string {
	s := sha256.Sum256(data)
	return hex.EncodeToString(s[:])
}

func TestPutRequests(t *testing.T) {
	data := bytes.Repeat([]byte("0123456789"), 2000) // 20,000 bytes
	all := sum(data)[:4]
	ifAbsent := backend.Condition{IfAbsent: true}
	for name, c := range map[string]struct {
		partSize int64
		stream   bool
		o        backend.PutOptions
		calls    []string
	}{
		"seekable body is hashed":          {20_000, false, backend.PutOptions{}, []string{"put 20000 of 20000, sum " + all}},
		"known hash is sent":               {20_000, true, backend.PutOptions{SHA256: sum(data)}, []string{"put 20000 of 20000, sum " + all}},
		"stream without hash is an upload": {20_000, true, backend.PutOptions{}, []string{"begin", "part 1: 20000 of 20000, sum ", "complete tag1"}},
		"large body with condition is an upload": {20_000, true, backend.PutOptions{SHA256: sum(data), Condition: ifAbsent},
			[]string{"begin", "part 1: 20000 of 20000, sum " + all, "complete tag1"}},
		"body larger than a part": {8_000, false, backend.PutOptions{SHA256: sum(data)}, []string{"begin",
			"part 1: 8000 of 8000, sum " + sum(data[:8000])[:4], "part 2: 8000 of 8000, sum " + sum(data[8000:16000])[:4],
			"part 3: 4000 of 4000, sum " + sum(data[16000:])[:4], "complete tag1 tag2 tag3"}},
		"stream larger than a part": {10_000, true, backend.PutOptions{SHA256: sum(data)},
			[]string{"begin", "part 1: 10000 of 10000, sum ", "part 2: 10000 of 10000, sum ", "complete tag1 tag2"}},
	} {
		r := new(recorder)
		var body io.Reader = bytes.NewReader(data)
		if c.stream {
			body = io.MultiReader(body)
		}
		o, err := s3rules.Put(t.Context(), r, c.partSize, "key", body, int64(len(data)), c.o)
		require.NoError(t, err, name)
		require.Equal(t, c.calls, r.calls, name)
		require.True(t, bytes.Equal(data, r.data), name)
		require.EqualValues(t, len(data), o.Size, name)
	}
}

func TestAtMostTenThousandParts(t *testing.T) {
	r := new(recorder)
	_, err := s3rules.Put(t.Context(), r, 1, "key", strings.NewReader(strings.Repeat("x", 25_001)), 25_001, backend.PutOptions{})
	require.NoError(t, err)
	require.Len(t, r.calls, 1+8334+1) // of 3 bytes each
}

func TestFailedUploadIsAborted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // does not stop the abort
	r := new(recorder)
	_, err := s3rules.Put(ctx, r, 10, "key", strings.NewReader("too short"), 25, backend.PutOptions{})
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	require.Equal(t, []string{"begin", "abort", "abort"}, r.calls[:3], "a part may still arrive")
	require.NotContains(t, r.calls[3:], "complete")

	r = new(recorder)
	_, err = s3rules.Put(ctx, r, 10, "key", strings.NewReader(strings.Repeat("x", 25)), 25, backend.PutOptions{SHA256: sum(nil)})
	require.ErrorIs(t, err, backend.ErrChecksum)
	require.Equal(t, "abort", r.calls[len(r.calls)-1])

	parts := make([]backend.Object, 100)
	for i := range parts {
		parts[i] = backend.Object{Key: "part", ETag: "fresh", Size: 1}
	}
	parts[7].ETag = "stale"
	r = new(recorder)
	_, err = s3rules.Compose(t.Context(), r, new(s3rules.Quirks), "key", parts, backend.PutOptions{})
	require.ErrorIs(t, err, backend.ErrPrecondition)
	require.Equal(t, []string{"begin", "abort"}, r.calls)
}
