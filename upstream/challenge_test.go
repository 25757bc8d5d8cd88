package upstream_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/upstream"
	"github.com/entrepot-io/entrepot/upstream/upstreamtest"
)

func TestChallengesParsedLeniently(t *testing.T) {
	const usual = "bearer https://auth.example.com/token r.example.com [repository:a/b:pull,push]"
	for header, want := range map[string][]string{
		`Bearer realm="https://auth.example.com/token",service="r.example.com",scope="repository:a/b:pull,push"`:           {usual},
		`bearer realm="https://auth.example.com/token", service="r.example.com", scope="repository:a/b:pull,push"`:         {usual},
		`BEARER   Realm = "https://auth.example.com/token" , SERVICE="r.example.com",Scope="repository:a/b:pull,push",`:    {usual},
		`Bearer realm=https://auth.example.com/token,service=r.example.com,scope=repository:a/b:pull,push`:                 {usual},
		`Bearer scope=repository:a/b:pull,push,realm=https://auth.example.com/token,service=r.example.com`:                 {usual},
		`Bearer realm="https://auth.example.com/token" service="r.example.com" scope="repository:a/b:pull,push"`:           {usual},
		`Bearer realm="https://auth.example.com/to\ken",service="r.example.com",scope="repository:a/b:pull,push",error="x`: {usual},
		`Basic realm="a, b=c", Bearer realm="https://auth.example.com/token"`:                                              {"bearer https://auth.example.com/token  []", "basic   []"},
		`Negotiate, Basic realm="x"`:                                    {"basic   []"},
		`Negotiate YWJj==, Basic realm="x"`:                             {"basic   []"},
		`Bearer realm="/token",scope="a b"`:                             {"bearer https://registry.example.com/token  [a b]"},
		`Bearer realm="https://u:p@auth.example.com/token",scope="aws"`: {"bearer https://auth.example.com/token  [aws]"},
		`Bearer service="no realm"`:                                     nil,
		`Bearer realm="https://` + strings.Repeat("x", 3000) + `"`:      nil,
		`=,=, ,"`: nil,
		``:        nil,
	} {
		assert.Equal(t, want, upstream.Challenges(header), header)
	}
	assert.Equal(t, []string{"bearer https://a.example.com/t  []", "basic   []"},
		upstream.Challenges(`Basic realm="x"`, `Bearer realm="https://a.example.com/t"`), "in two headers")
}

func TestTokensParsedLeniently(t *testing.T) {
	for answer, want := range map[string]struct {
		token string
		life  time.Duration
	}{
		`{"token":"a","access_token":"b","expires_in":300}`:         {"a", 300 * time.Second},
		`{"token":"","access_token":"b","expires_in":"300"}`:        {"b", 300 * time.Second},
		`{"token":null,"access_token":"b","expires_in":300.5}`:      {"b", 300*time.Second + 500*time.Millisecond},
		`{"token":"a","expires_in":null,"issued_at":17}`:            {"a", time.Minute},
		`{"token":"a","expires_in":"soon","issued_at":""}`:          {"a", time.Minute},
		`{"token":"a","expires_in":-1}`:                             {"a", time.Minute},
		`{"token":"a","expires_in":1e300}`:                          {"a", 24 * time.Hour},
		"\ufeff" + `{"access_token":"a","refresh_token":{"x":"y"}}`: {"a", time.Minute},
		`{"token":"a\nb"}`: {},
		`{"token":"` + strings.Repeat("x", 40<<10) + `"}`: {},
		`{"token":17}`: {}, `{}`: {}, `[]`: {}, `<html>`: {}, ``: {},
	} {
		token, life := upstream.Token(answer)
		assert.Equal(t, want.token, token, answer)
		if token != "" {
			assert.Equal(t, want.life, life, answer)
		}
	}
}

func TestScopeComesFromChallenge(t *testing.T) {
	reg := upstreamtest.Start(t, upstreamtest.Options{Auth: true, ScopePrefix: "project/", ExpiresFormat: `"%d.0"`})
	for _, repo := range []string{"library/app", "library/other"} {
		reg.Image(repo, "1", 1000)
	}
	r := connect(t, nil, reg.URL())
	for range 3 {
		for _, repo := range []string{"app", "other"} {
			_, err := r.HeadManifest(t.Context(), repository(t, repo), tag(t, "1"))
			require.NoError(t, err)
		}
	}
	// The usual scope is tried once for each repository.
	assert.Equal(t, 4, reg.Counts().Requests[upstreamtest.Token])
	assertWellBehaved(t, reg)
}

func TestBearerIsPreferred(t *testing.T) {
	for name, challenges := range map[string][]string{
		"one header":  {`Basic realm="x", {bearer}`},
		"two headers": {`Basic realm="x"`, `{bearer}`},
		"first":       {`{bearer}`, `Basic realm="x"`},
	} {
		t.Run(name, func(t *testing.T) {
			reg := upstreamtest.Start(t, upstreamtest.Options{Auth: true, Username: "ada", Password: "secret", Basic: true, Challenges: challenges})
			reg.Image("library/app", "1", 1000)
			for _, keychain := range []credentials{{}, {reg.Host(), "ada", "secret"}} {
				_, err := connect(t, keychain, reg.URL()).HeadManifest(t.Context(), repository(t, "app"), tag(t, "1"))
				require.NoError(t, err)
			}
			assert.Equal(t, 2, reg.Counts().Requests[upstreamtest.Token])
			assertWellBehaved(t, reg)
		})
	}
}

func TestBasicUsedIfTokenServiceIsOffSite(t *testing.T) {
	elsewhere := upstreamtest.Start(t, upstreamtest.Options{Host: "127.0.0.4"})
	reg := upstreamtest.Start(t, upstreamtest.Options{Auth: true, Username: "ada", Password: "secret", Basic: true,
		Realm: elsewhere.URL() + "/token", Challenges: []string{`{bearer}`, `Basic realm="x"`}})
	reg.Image("library/app", "1", 1000)
	_, err := connect(t, credentials{reg.Host(), "ada", "secret"}, reg.URL()).
		HeadManifest(t.Context(), repository(t, "app"), tag(t, "1"))
	require.NoError(t, err)
	assert.Empty(t, elsewhere.Requests())
}
