package backendtest

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/backend"
)

var badKeys = []string{
	"", "/", "//", "a/", "/a", "a//b", "a///b", ".", "..", "./a", "../a", "a/.", "a/..", "a/./b", "a/../b", "a/../../b", " ", "a/ /b", ".. ", "a/ ./b", "../../etc/passwd",
	`\`, `a\b`, `..\a`, "a\x00b", "a\nb", "a\tb", "a\x7fb", "a\u0085b", "a\xffb", "\xc0\xae\xc0\xae/a", strings.Repeat("a", 901),
	strings.Repeat("a/", 450) + "a", strings.Repeat("ü", 451),
}

var goodKeys = []string{
	"a", "a/b/c", "...", "..a", "a..", ".a", "a/.../b", "-", "--help", "~", "~/a", "public/blobs/sha256/" + strings.Repeat("0", 64),
	"docker.io/library/x:latest", "a:b", ":", "a b", " a", "a+b", "a%b", "a%2Fb", "a%00b", "%2e%2e/a", "a?b", "a?b=c&d", "a#b", "a*b", "$a", "a;b",
	"a=b", "a@b", "a,b", "a'b", `a"b`, "a|b", "a<b>", "a&b", "a&amp;b", "a[b]", "a{b}", "a^b", "a`b", "(a)", "ä/日本/🐳", "a\u00a0b", "A/a", "CON", "nul.txt",
	".tmp/a", "tmp/a", "objects/a", "lock", strings.Repeat("s", 255), strings.Repeat("s", 255) + "/" + strings.Repeat("ü", 127),
	strings.Repeat("a/", 100) + "a", strings.Repeat(strings.Repeat("k", 89)+"/", 9) + strings.Repeat("k", 90),
}

var keyPromises = []promise{
	{name: "every method refuses invalid keys", check: func(t *testing.T, s backend.Store) {
		for _, key := range badKeys {
			body := strings.NewReader("body")
			_, err := s.Put(t.Context(), key, body, 4, backend.PutOptions{})
			require.ErrorIs(t, err, backend.ErrKey, "put %q", key)
			require.Equal(t, 4, body.Len(), "the body was read")
			_, _, err = s.Get(t.Context(), key, backend.Range{})
			require.ErrorIs(t, err, backend.ErrKey, "get %q", key)
			_, err = s.Stat(t.Context(), key)
			require.ErrorIs(t, err, backend.ErrKey, "stat %q", key)
			require.ErrorIs(t, s.Delete(t.Context(), key), backend.ErrKey, "delete %q", key)
			if c, ok := s.(backend.Composer); ok {
				part := backend.Object{Key: "part", Size: 1, ETag: "x"}
				_, err = c.Compose(t.Context(), key, []backend.Object{part}, backend.PutOptions{})
				require.ErrorIs(t, err, backend.ErrKey, "compose %q", key)
				part.Key = key
				_, err = c.Compose(t.Context(), "whole", []backend.Object{part}, backend.PutOptions{})
				require.ErrorIs(t, err, backend.ErrKey, "compose of %q", key)
			}
			if p, ok := s.(backend.Presigner); ok {
				_, _, err = signer(t, p).PresignGet(key, time.Now(), time.Hour)
				require.ErrorIs(t, err, backend.ErrKey, "presign %q", key)
			}
		}
		require.Empty(t, keys(t, s, "", ""))
	}},
	{name: "all valid keys are distinct", check: func(t *testing.T, s backend.Store) {
		for _, key := range goodKeys {
			put(t, s, key, []byte(key), backend.PutOptions{})
			requireObject(t, s, key, []byte(key))
			require.Contains(t, keys(t, s, key, ""), key)
			require.NoError(t, s.Delete(t.Context(), key))
			requireNothing(t, s, key)
		}
		require.Empty(t, keys(t, s, "", ""))
	}},
	{name: "any string is a distinct key or refused", check: func(t *testing.T, s backend.Store) {
		seed := Seed(t)
		r := rand.New(rand.NewPCG(seed, seed))
		pieces := []string{"a", "B", "0", ".", "..", "/", "/", "/", " ", "+", "%", "%2F", ":", "\\", "\n", "\x00", "ü", "\xff", "&", "?", "#", "日", "<", "'"}
		for range 100 {
			var key string
			for range 1 + r.IntN(6) {
				key += pieces[r.IntN(len(pieces))]
			}
			_, err := s.Put(t.Context(), key, bytes.NewReader([]byte(key)), int64(len(key)), backend.PutOptions{})
			require.Equal(t, backend.CheckKey(key) != nil, errors.Is(err, backend.ErrKey), "put %q: %v", key, err)
			if err != nil {
				require.ErrorIs(t, err, backend.ErrKey)
				continue
			}
			requireObject(t, s, key, []byte(key))
			require.NoError(t, s.Delete(t.Context(), key))
		}
		require.Empty(t, keys(t, s, "", ""))
	}},
	{name: "a long segment is stored or refused", check: func(t *testing.T, s backend.Store) {
		// S3 accepts it. Stores on file systems do not.
		key := "dir/" + strings.Repeat("s", 300)
		_, err := s.Put(t.Context(), key, strings.NewReader("x"), 1, backend.PutOptions{})
		if err == nil {
			requireObject(t, s, key, []byte("x"))
			return
		}
		_, err = s.Stat(t.Context(), key)
		require.Error(t, err)
		require.Empty(t, keys(t, s, "", ""))
	}},
}
