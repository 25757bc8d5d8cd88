package s3rules_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/backend/internal/s3rules"
)

// unconditional is a store that ignores the conditions of copies.
type unconditional struct {
	recorder
	now    map[string]backend.ETag // current ETags of the objects
	copies map[string]string       // ETags of the parts copied from them
	broken error                   // returned by Stat
	stats  int
}

func (h *unconditional) Begin(ctx context.Context, key string, o backend.PutOptions) (s3rules.Upload, error) {
	_, err := h.recorder.Begin(ctx, key, o)
	return h, err
}

func (h *unconditional) Copy(_ context.Context, _ int, src backend.Object) (string, error) {
	return h.copies[src.Key], nil
}

func (h *unconditional) Stat(_ context.Context, key string) (backend.Object, error) {
	h.stats++
	return backend.Object{Key: key, ETag: h.now[key]}, h.broken
}

const (
	md5A = "0cc175b9c0f1b6a831c399e269772661"
	md5B = "92EB5FFEE6AE2FEC3AD71C777531578F"
)

func TestCopyOfAnotherVersionIsDetected(t *testing.T) {
	broken := errors.New("broken")
	for name, c := range map[string]struct {
		ifMatch, now backend.ETag
		copied       string
		broken       error
		want         error
		stats        int
	}{
		"right version":                  {ifMatch: `"` + md5A + `"`, copied: md5A},
		"right version in other case":    {ifMatch: md5B, copied: `"92eb5ffee6ae2fec3ad71c777531578f"`},
		"another version":                {ifMatch: md5A, now: md5B, copied: md5B, want: backend.ErrPrecondition, stats: 1},
		"another version, sent in parts": {ifMatch: md5A, now: md5B + "-2", copied: md5B, want: backend.ErrPrecondition, stats: 1},
		"ETags are not MD5s":             {ifMatch: md5A, now: md5A, copied: md5B, stats: 1}, // SSE-KMS
		"source was sent in parts":       {ifMatch: md5A + "-1", now: md5B, copied: md5B},
		"part's ETag is not an MD5":      {ifMatch: md5A, now: md5B, copied: "tag"},
		"Stat fails":                     {ifMatch: md5A, copied: md5B, broken: broken, want: broken, stats: 1},
	} {
		t.Run(name, func(t *testing.T) {
			to := &unconditional{now: map[string]backend.ETag{"part": c.now}, copies: map[string]string{"part": c.copied}, broken: c.broken}
			_, err := s3rules.Compose(t.Context(), to, new(s3rules.Quirks), "whole", []backend.Object{{Key: "part", ETag: c.ifMatch}}, backend.PutOptions{})
			require.ErrorIs(t, err, c.want)
			require.Equal(t, c.stats, to.stats)
			require.Equal(t, c.want == nil, to.calls[len(to.calls)-1] != "abort", "%v", to.calls)
		})
	}
}

func TestOpaqueETagsAreDetectedOnce(t *testing.T) {
	to := &unconditional{now: map[string]backend.ETag{"part": md5A}, copies: map[string]string{"part": md5B}}
	quirks := new(s3rules.Quirks)
	for range 3 {
		_, err := s3rules.Compose(t.Context(), to, quirks, "whole", []backend.Object{{Key: "part", ETag: md5A}}, backend.PutOptions{})
		require.NoError(t, err)
	}
	require.Equal(t, 1, to.stats)
}
