package upstreamtest_test

import (
	"net/http"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/upstream/upstreamtest"
)

func TestAllRequestsNeedToken(t *testing.T) {
	t.Parallel()
	reg := upstreamtest.Start(t, upstreamtest.Options{Auth: true})
	image := reg.Image("org/app", "v1", 100)
	realm := `Bearer realm="` + reg.URL() + `/token",service="registry.upstreamtest"`
	r := get(t, reg.URL()+"/v2/")
	require.Equal(t, 401, r.StatusCode)
	require.Equal(t, realm, r.Header.Get("WWW-Authenticate"))
	bearer := "Bearer " + token(t, reg, "org/app")
	for _, path := range []string{
		"manifests/v1", "manifests/" + image.Digest.String(), "blobs/" + image.Config.Digest.String(), "tags/list",
		"referrers/" + image.Digest.String(),
	} {
		r := get(t, reg.URL()+"/v2/org/app/"+path)
		require.Equal(t, 401, r.StatusCode, path)
		require.Equal(t, realm+`,scope="repository:org/app:pull"`, r.Header.Get("WWW-Authenticate"))
		require.Equal(t, 200, get(t, reg.URL()+"/v2/org/app/"+path, "Authorization", bearer).StatusCode, path)
	}
	require.Equal(t, 200, get(t, reg.URL()+"/v2/", "Authorization", bearer).StatusCode)
}

func TestTokenCoversItsScope(t *testing.T) {
	t.Parallel()
	reg := upstreamtest.Start(t, upstreamtest.Options{Auth: true})
	reg.Image("org/app", "v1", 100)
	reg.Image("org/other", "v1", 100)
	one := token(t, reg, "org/app")
	both := token(t, reg, "org/app:pull+repository:org/other")
	none := token(t, reg, "org/none")
	for _, c := range []struct {
		token, repo string
		want        int
		reason      string
	}{
		{one, "org/app", 200, ""},
		{one, "org/other", 401, "insufficient_scope"},
		{both, "org/app", 200, ""},
		{both, "org/other", 200, ""},
		{none, "org/none", 401, "insufficient_scope"},
		{"made-up", "org/app", 401, "invalid_token"},
	} {
		r := get(t, reg.URL()+"/v2/"+c.repo+"/manifests/v1", "Authorization", "Bearer "+c.token)
		require.Equal(t, c.want, r.StatusCode, "%+v", c)
		require.Contains(t, r.Header.Get("WWW-Authenticate"), c.reason)
	}
}

func TestPrivateRepositoryNeedsPassword(t *testing.T) {
	t.Parallel()
	reg := upstreamtest.Start(t, upstreamtest.Options{
		Auth: true, Username: "ann", Password: "secret", Private: []string{"org/private"}, TokenHost: "127.0.0.4",
	})
	require.NotEqual(t, reg.Host(), reg.TokenHost())
	require.Equal(t, 404, get(t, reg.URL()+"/token").StatusCode)
	reg.Image("org/private", "v1", 100)
	reg.Image("org/public", "v1", 100)
	status := func(repo string, headers ...string) int {
		return get(t, reg.URL()+"/v2/"+repo+"/manifests/v1", "Authorization", "Bearer "+token(t, reg, repo, headers...)).StatusCode
	}
	basic := func(password string) []string {
		req := &http.Request{Header: http.Header{}}
		req.SetBasicAuth("ann", password)
		return []string{"Authorization", req.Header.Get("Authorization")}
	}
	require.Equal(t, 200, status("org/public"))
	require.Equal(t, 401, status("org/private"))
	require.Equal(t, 200, status("org/private", basic("secret")...))
	require.Equal(t, 401, get(t, "http://"+reg.TokenHost()+"/token", basic("wrong")...).StatusCode)
	require.NotContains(t, rules(reg), upstreamtest.AuthorizationLeak)

	_, err := upstreamtest.New(upstreamtest.Options{Private: []string{"org/private"}})
	require.Error(t, err)
}

func TestTokensExpire(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		life, lives time.Duration
		announced   any
	}{
		{0, 5 * time.Minute, 300.0},
		{1500 * time.Millisecond, 1500 * time.Millisecond, 2.0},
		{-1, time.Minute, nil},
	} {
		var now atomic.Int64
		reg := upstreamtest.Start(t, upstreamtest.Options{
			Auth: true, ExpiresIn: c.life, Now: func() time.Time { return time.Unix(0, now.Load()) },
		})
		body := into[map[string]any](t, get(t, reg.URL()+"/token"))
		require.Equal(t, c.announced, body["expires_in"])
		require.Equal(t, body["token"], body["access_token"])
		bearer := []string{"Authorization", "Bearer " + body["token"].(string)}
		now.Store(int64(c.lives) - 1)
		require.Equal(t, 200, get(t, reg.URL()+"/v2/", bearer...).StatusCode)
		now.Store(int64(c.lives))
		require.Equal(t, 401, get(t, reg.URL()+"/v2/", bearer...).StatusCode)
	}
}

func TestChallengeMayNameAnotherRealm(t *testing.T) {
	t.Parallel()
	foreign := upstreamtest.Start(t, upstreamtest.Options{Host: "127.0.0.9"})
	reg := upstreamtest.Start(t, upstreamtest.Options{Auth: true, AccessToken: true, Realm: foreign.URL() + "/token"})
	require.Contains(t, get(t, reg.URL()+"/v2/").Header.Get("WWW-Authenticate"), foreign.URL())
	require.NotContains(t, into[map[string]any](t, get(t, reg.URL()+"/token")), "token")

	require.Equal(t, 401, get(t, foreign.URL()+"/token", "Authorization", "Basic YTpi").StatusCode)
	violations := foreign.Counts().Violations
	require.Len(t, violations, 1)
	require.Equal(t, upstreamtest.AuthorizationLeak, violations[0].Rule)
	require.Equal(t, foreign.Host(), violations[0].At)
}

func TestCDNTakesOnlySignedURLs(t *testing.T) {
	t.Parallel()
	var now atomic.Int64
	reg := upstreamtest.Start(t, upstreamtest.Options{CDN: true, Now: func() time.Time { return time.Unix(now.Load(), 0) }})
	d := reg.Blob("org/app", upstreamtest.Random(1, 1000))
	blob := reg.URL() + "/v2/org/app/blobs/" + d.String()
	require.EqualValues(t, 1000, head(t, blob).ContentLength, "HEAD is not redirected")

	redirect := func() string {
		r := get(t, blob)
		require.Equal(t, 307, r.StatusCode)
		location, err := url.Parse(r.Header.Get("Location"))
		require.NoError(t, err)
		require.Equal(t, reg.CDNHost(), location.Host)
		return location.String()
	}
	signed := redirect()
	require.Len(t, get(t, signed).body, 1000)
	require.Equal(t, "bytes 5-9/1000", get(t, signed, "Range", "bytes=5-9").Header.Get("Content-Range"))
	require.Equal(t, 400, get(t, signed, "Authorization", "Bearer x").StatusCode)
	require.Equal(t, 403, head(t, signed).StatusCode)
	require.Equal(t, 403, get(t, signed+"x").StatusCode)
	now.Add(20 * 60)
	require.Equal(t, 403, get(t, signed).StatusCode)

	reg.Faults.Set(upstreamtest.Fault{Kind: upstreamtest.BlobGet, URLUses: 2, URLLife: time.Minute})
	signed = redirect()
	for _, want := range []int{200, 200, 403} {
		require.Equal(t, want, get(t, signed).StatusCode)
	}
	signed = redirect()
	now.Add(60)
	require.Equal(t, 403, get(t, signed).StatusCode)
	reg.Faults.Clear()
	signed = redirect()
	reg.Delete("org/app", d.String())
	require.Equal(t, 404, get(t, signed).StatusCode)
}
