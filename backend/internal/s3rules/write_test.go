package s3rules_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/backend/internal/s3rules"
)

// terse is a store whose responses to writes have no ETag.
type terse struct {
	recorder
	found backend.Object
	err   error
}

func (s *terse) Begin(ctx context.Context, key string, o backend.PutOptions) (s3rules.Upload, error) {
	_, err := s.recorder.Begin(ctx, key, o)
	return s, err
}

func (s *terse) Complete(ctx context.Context, tags []string) (backend.Object, error) {
	_, err := s.recorder.Complete(ctx, tags)
	return backend.Object{ETag: `""`}, err
}

func (s *terse) Stat(context.Context, string) (backend.Object, error) { return s.found, s.err }

func TestMissingETagIsAskedFor(t *testing.T) {
	down := errors.New("down")
	for name, c := range map[string]struct {
		found backend.Object
		err   error
		etag  backend.ETag
		want  error
	}{
		"object exists":         {found: backend.Object{Size: 4, ETag: `"x"`}, etag: `"x"`},
		"object was deleted":    {err: fmt.Errorf("stat: %w", backend.ErrNotFound)},
		"object was replaced":   {found: backend.Object{Size: 5, ETag: `"other"`}},
		"Stat returns no ETag":  {found: backend.Object{Size: 4}, want: backend.ErrUnable},
		"Stat fails":            {err: down, want: down},
		"Stat's ETag is quotes": {found: backend.Object{Size: 4, ETag: `""`}, want: backend.ErrUnable},
	} {
		t.Run(name, func(t *testing.T) {
			for method, put := range map[string]func(*terse) (backend.Object, error){
				"in one request": func(s *terse) (backend.Object, error) {
					return s3rules.Put(t.Context(), s, 10, "key", strings.NewReader("data"), 4, backend.PutOptions{})
				},
				"in parts": func(s *terse) (backend.Object, error) {
					return s3rules.Put(t.Context(), s, 10, "key", io.MultiReader(strings.NewReader("data")), 4, backend.PutOptions{})
				},
				"by Compose": func(s *terse) (backend.Object, error) {
					return s3rules.Compose(t.Context(), s, new(s3rules.Quirks), "key", []backend.Object{{Key: "part", ETag: "x", Size: 4}}, backend.PutOptions{})
				},
			} {
				s := &terse{found: c.found, err: c.err}
				o, err := put(s)
				require.ErrorIs(t, err, c.want, method)
				require.Equal(t, c.etag, o.ETag, method)
				require.NotContains(t, s.calls, "abort", "%s: the object is stored", method)
			}
		})
	}
}

func TestConditionWithoutETagIsNotSent(t *testing.T) {
	for _, etag := range []backend.ETag{`""`, `"`, " ", `W/""`} {
		r := new(recorder)
		o := backend.PutOptions{Condition: backend.Condition{IfMatch: etag}}
		_, err := s3rules.Put(t.Context(), r, 10, "key", strings.NewReader("data"), 4, o)
		require.ErrorIs(t, err, backend.ErrPrecondition)
		_, err = s3rules.Put(t.Context(), r, 3, "key", strings.NewReader("data"), 4, o)
		require.ErrorIs(t, err, backend.ErrPrecondition)
		parts := []backend.Object{{Key: "part", ETag: "x", Size: 4}}
		_, err = s3rules.Compose(t.Context(), r, new(s3rules.Quirks), "key", parts, o)
		require.ErrorIs(t, err, backend.ErrPrecondition)
		parts[0].ETag = etag
		_, err = s3rules.Compose(t.Context(), r, new(s3rules.Quirks), "key", parts, backend.PutOptions{})
		require.ErrorIs(t, err, backend.ErrPrecondition)
		require.Empty(t, r.calls)
	}
}

func TestChecksumOfEmptyBody(t *testing.T) {
	r := new(recorder)
	_, err := s3rules.Put(t.Context(), r, 10, "key", strings.NewReader(""), 0, backend.PutOptions{SHA256: sum([]byte("x"))})
	require.ErrorIs(t, err, backend.ErrChecksum)
	require.Empty(t, r.calls)
	_, err = s3rules.Put(t.Context(), r, 10, "key", strings.NewReader(""), 0, backend.PutOptions{SHA256: sum(nil)})
	require.NoError(t, err)
}

func TestFailedDeleteOfMissingObject(t *testing.T) {
	broken := s3rules.Failure{Status: 500, Code: "InternalError"}.Wrap("delete", "key", errors.New("broken"))
	reset := s3rules.Failure{}.Wrap("delete", "key", errors.New("reset"))
	gone := fmt.Errorf("stat: %w", backend.ErrNotFound)
	for name, c := range map[string]struct{ failure, stat, want error }{
		"no object":            {broken, gone, nil},
		"object exists":        {broken, nil, broken},
		"Stat fails":           {broken, errors.New("down"), broken},
		"no response":          {reset, gone, reset},
		"not permitted":        {s3rules.Failure{Status: 403}.Wrap("delete", "key", errors.New("no")), gone, backend.ErrDenied},
		"store says not found": {gone, gone, nil},
	} {
		err := s3rules.Delete(t.Context(), &terse{err: c.stat}, "key", func() error { return c.failure })
		require.ErrorIs(t, err, c.want, name)
	}
}
