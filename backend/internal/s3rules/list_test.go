package s3rules_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/backend/internal/s3rules"
)

// objects is a store with objects at some keys.
type objects struct {
	recorder
	keys  map[string]bool
	err   error
	stats int
}

func (o *objects) Stat(_ context.Context, key string) (backend.Object, error) {
	o.stats++
	if err := backend.CheckKey(key); err != nil {
		return backend.Object{}, err
	}
	if o.err == nil && !o.keys[key] {
		return backend.Object{}, fmt.Errorf("stat %s: %w", key, backend.ErrNotFound)
	}
	return backend.Object{Key: key}, o.err
}

func TestListedKeys(t *testing.T) {
	for name, c := range map[string]struct {
		prefix string
		exist  []string
		listed []string
		want   []string
		stats  int
	}{
		"nothing to decode":            {"", nil, []string{"root/a", "root/b:c"}, []string{"a", "b:c"}, 0},
		"space, so not encoded":        {"", nil, []string{"root/a b", "root/a%20b", "root/a+b"}, []string{"a b", "a%20b", "a+b"}, 0},
		"letter, so not encoded":       {"", nil, []string{"root/ü", "root/a%20b"}, []string{"ü", "a%20b"}, 0},
		"percent sign, so not encoded": {"", nil, []string{"root/100%", "root/a%20b"}, []string{"100%", "a%20b"}, 0},
		"Stat shows encoding":          {"", []string{"a b", "c:d"}, []string{"root/a%20b", "root/c%3Ad", "root/e%2Ff"}, []string{"a b", "c:d", "e/f"}, 2},
		"Stat shows form encoding":     {"", []string{"a b"}, []string{"root/a+b", "root/a%2Bb"}, []string{"a b", "a+b"}, 2},
		"Stat shows no encoding":       {"", []string{"a%20b"}, []string{"root/a%20b", "root/c+d"}, []string{"a%20b", "c+d"}, 1},
		"neither key exists":           {"", nil, []string{"root/a%20b", "root/c%3Ad"}, []string{"a%20b", "c%3Ad"}, 4},
		"both keys exist":              {"", []string{"a%20b", "a b"}, []string{"root/a%20b"}, []string{"a%20b"}, 1},
		"decoded key is invalid":       {"", []string{"a%2F%2Fb"}, []string{"root/a%2F%2Fb"}, []string{"a%2F%2Fb"}, 1},
		"prefix shows encoding":        {"x y/", nil, []string{"root/x%20y/a", "root/x%20y/b%3Ac", "root/x%20y/d%20"}, []string{"x y/a", "x y/b:c", "x y/d "}, 0},
		"encoded root":                 {"", nil, []string{"root%2Fa%3Ab"}, []string{"a:b"}, 0},
		"prefix shows no encoding":     {"x+y/", nil, []string{"root/x+y/a%3Ab"}, []string{"x+y/a%3Ab"}, 0},
		"other prefix":                 {"x/", nil, []string{"root/y", "other/x/a", "root/y%20"}, nil, 0},
	} {
		t.Run(name, func(t *testing.T) {
			to := &objects{keys: map[string]bool{}}
			for _, key := range c.exist {
				to.keys[key] = true
			}
			l := s3rules.Listing{Requests: to, Quirks: new(s3rules.Quirks), Root: "root/", Prefix: c.prefix}
			var got []string
			for _, listed := range c.listed {
				key, below, err := l.Key(t.Context(), listed)
				require.NoError(t, err)
				if below {
					got = append(got, key)
				}
			}
			require.Equal(t, c.want, got)
			require.Equal(t, c.stats, to.stats)
		})
	}
}

func TestListedKeyFailsIfStatFails(t *testing.T) {
	down := errors.New("down")
	l := s3rules.Listing{Requests: &objects{err: down}, Quirks: new(s3rules.Quirks)}
	_, _, err := l.Key(t.Context(), "a%20b")
	require.ErrorIs(t, err, down)
}
