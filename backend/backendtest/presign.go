package backendtest

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/backend"
)

func presign(t *testing.T, s backend.Store, key string, signedAt time.Time, expires time.Duration) string {
	t.Helper()
	u, until, err := signer(t, s.(backend.Presigner)).PresignGet(key, signedAt, expires)
	require.NoError(t, err)
	require.WithinRange(t, until, signedAt.Add(expires-time.Second), signedAt.Add(expires))
	return u
}

func signer(t *testing.T, p backend.Presigner) backend.Signer {
	t.Helper()
	signer, err := p.Signer(t.Context(), time.Now())
	require.NoError(t, err)
	return signer
}

// request makes a request without credentials.
func request(t *testing.T, method, url, ranges string) (status int, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	require.NoError(t, err)
	if ranges != "" {
		req.Header.Set("Range", ranges)
	}
	resp, err := Localhost(http.DefaultTransport).RoundTrip(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, string(data)
}

var presignPromises = []promise{
	{name: "a URL works for GET, with or without Range", check: func(t *testing.T, s backend.Store) {
		put(t, s, "blobs/sha256/x", []byte("0123456789"), backend.PutOptions{})
		u := presign(t, s, "blobs/sha256/x", time.Now(), time.Hour)
		status, body := request(t, "GET", u, "")
		require.Equal(t, 200, status)
		require.Equal(t, "0123456789", body)
		status, body = request(t, "GET", u, "bytes=2-4")
		require.Equal(t, 206, status)
		require.Equal(t, "234", body)
		status, body = request(t, "GET", u, "bytes=7-")
		require.Equal(t, 206, status)
		require.Equal(t, "789", body)
	}},
	{name: "a URL works for nothing else", check: func(t *testing.T, s backend.Store) {
		put(t, s, "blobs/x", []byte("x"), backend.PutOptions{})
		u := presign(t, s, "blobs/x", time.Now(), time.Hour)
		for _, method := range []string{"HEAD", "PUT", "DELETE"} {
			status, _ := request(t, method, u, "")
			require.Equal(t, 403, status, method)
		}
		requireObject(t, s, "blobs/x", []byte("x"))
	}},
	{name: "a URL may be signed in the past", check: func(t *testing.T, s backend.Store) {
		put(t, s, "blobs/x", []byte("x"), backend.PutOptions{})
		past := time.Now().Add(-10 * time.Minute)
		status, body := request(t, "GET", presign(t, s, "blobs/x", past, 15*time.Minute), "")
		require.Equal(t, 200, status)
		require.Equal(t, "x", body)
		status, _ = request(t, "GET", presign(t, s, "blobs/x", past, 5*time.Minute), "")
		require.Equal(t, 403, status)
	}},
	{name: "equal times give equal URLs", check: func(t *testing.T, s backend.Store) {
		at := time.Now()
		require.Equal(t, presign(t, s, "a", at, time.Hour), presign(t, s, "a", at.UTC(), time.Hour))
		require.NotEqual(t, presign(t, s, "a", at, time.Hour), presign(t, s, "a", at.Add(-time.Minute), time.Hour))
		require.NotEqual(t, presign(t, s, "a", at, time.Hour), presign(t, s, "b", at, time.Hour))
	}},
	{name: "equal credentials give the same signer", check: func(t *testing.T, s backend.Store) {
		require.True(t, signer(t, s.(backend.Presigner)) == signer(t, s.(backend.Presigner)))
	}},
	{name: "every valid key can be presigned", check: func(t *testing.T, s backend.Store) {
		for _, key := range goodKeys {
			put(t, s, key, []byte(key), backend.PutOptions{})
			status, body := request(t, "GET", presign(t, s, key, time.Now(), time.Hour), "")
			require.Equal(t, 200, status, key)
			require.Equal(t, key, body)
			require.NoError(t, s.Delete(t.Context(), key))
			status, _ = request(t, "GET", presign(t, s, key, time.Now(), time.Hour), "")
			require.Equal(t, 404, status, key)
		}
	}},
	{name: "a URL is valid for a second to seven days", check: func(t *testing.T, s backend.Store) {
		for _, expires := range []time.Duration{-time.Hour, 0, time.Millisecond, 7*24*time.Hour + time.Second} {
			_, _, err := signer(t, s.(backend.Presigner)).PresignGet("a", time.Now(), expires)
			require.Error(t, err, fmt.Sprint(expires))
		}
		put(t, s, "a", []byte("x"), backend.PutOptions{})
		status, _ := request(t, "GET", presign(t, s, "a", time.Now(), 7*24*time.Hour), "")
		require.Equal(t, 200, status)
	}},
}

// Public checks a store with a public endpoint. base is the URL of the empty key there.
func Public(t *testing.T, s backend.Store, base string) {
	put(t, s, "dir/a:b", []byte("public"), backend.PutOptions{})
	u := Signs(t, s, base)
	status, body := request(t, "GET", u, "")
	require.Equal(t, 200, status)
	require.Equal(t, "public", body)
}

// Signs checks that URLs begin with base, without requesting any. It returns the URL of dir/a:b.
func Signs(t *testing.T, s backend.Store, base string) (url string) {
	u := presign(t, s, "dir/a:b", time.Now(), time.Hour)
	require.True(t, strings.HasPrefix(u, base+"dir/a%3Ab?"), "%s does not begin with %s", u, base)
	return u
}
