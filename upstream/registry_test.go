package upstream_test

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/bounded"
	"github.com/entrepot-io/entrepot/upstream"
	"github.com/entrepot-io/entrepot/upstream/upstreamtest"
)

// quick has timeouts that a test can wait for. Tests that wait for them are parallel.
var quick = upstream.Timeouts{Header: time.Second, IdleBody: 300 * time.Millisecond}

func connect(t *testing.T, keychain authn.Keychain, endpoints ...string) *upstream.Registry {
	t.Helper()
	return connectIn(t, nil, keychain, endpoints...)
}

// connectIn is connect with a share of memory.
func connectIn(t *testing.T, memory *bounded.Share, keychain authn.Keychain, endpoints ...string) *upstream.Registry {
	t.Helper()
	cfg := upstream.Config{
		Name: "docker.io", Keychain: keychain, Transport: upstream.NewTransport(quick), UserAgent: "entrepot/test", Memory: memory,
	}
	for _, e := range endpoints {
		u, err := url.Parse(e)
		require.NoError(t, err)
		cfg.Endpoints = append(cfg.Endpoints, u)
	}
	r, err := upstream.New(cfg)
	require.NoError(t, err)
	return r
}

func repository(t *testing.T, path string) upstream.Repository {
	t.Helper()
	repo, err := upstream.ParseRepository("docker.io", path)
	require.NoError(t, err)
	return repo
}

func tag(t *testing.T, s string) upstream.Reference {
	t.Helper()
	ref, err := upstream.ParseReference(s)
	require.NoError(t, err)
	return ref
}

// credentials is a keychain with one credential for one host.
type credentials struct{ host, user, password string }

func (c credentials) Resolve(r authn.Resource) (authn.Authenticator, error) {
	if r.RegistryStr() != c.host {
		return authn.Anonymous, nil
	}
	return &authn.Basic{Username: c.user, Password: c.password}, nil
}

func assertWellBehaved(t *testing.T, reg *upstreamtest.Registry) {
	t.Helper()
	assert.Empty(t, reg.Counts().Violations)
}

func TestPullWithTokenAndCDN(t *testing.T) {
	reg := upstreamtest.Start(t, upstreamtest.Options{Auth: true, CDN: true})
	image := reg.Image("library/app", "1", 100_000)
	r, repo, ctx := connect(t, nil, reg.URL()), repository(t, "app"), t.Context()

	d, err := r.HeadManifest(ctx, repo, tag(t, "1"))
	require.NoError(t, err)
	assert.Equal(t, upstream.Descriptor{Digest: image.Digest, MediaType: image.MediaType, Size: image.Size}, d)

	m, err := r.GetManifest(ctx, repo, upstream.ByDigest(d.Digest))
	require.NoError(t, err)
	assert.Equal(t, image.Body, m.Body)

	layer := image.Layers[0]
	blob, err := r.Blob(repo, layer.Digest).Open(ctx, 0, 0)
	require.NoError(t, err)
	defer blob.Body.Close()
	assert.Equal(t, layer.Size, blob.Size)
	got, err := digest.FromReader(blob.Body)
	require.NoError(t, err)
	assert.Equal(t, layer.Digest, got)

	counts := reg.Counts()
	assert.Equal(t, 1, counts.Requests[upstreamtest.Token], "one token serves a repository until it expires")
	assertWellBehaved(t, reg)
}

func TestExpiredTokenIsReplaced(t *testing.T) {
	now := time.Now()
	reg := upstreamtest.Start(t, upstreamtest.Options{Auth: true, ExpiresIn: time.Hour, Now: func() time.Time { return now }})
	reg.Image("library/app", "1", 1000)
	r, repo := connect(t, nil, reg.URL()), repository(t, "app")
	_, err := r.HeadManifest(t.Context(), repo, tag(t, "1"))
	require.NoError(t, err)

	reg.Stop()
	now = now.Add(2 * time.Hour) // only the registry's clock, so the client learns it from a 401
	require.NoError(t, reg.Restart())
	_, err = r.HeadManifest(t.Context(), repo, tag(t, "1"))
	require.NoError(t, err)
	assert.Equal(t, 2, reg.Counts().Requests[upstreamtest.Token])
}

func TestConcurrentRequestsShareOneToken(t *testing.T) {
	t.Parallel()
	reg := upstreamtest.Start(t, upstreamtest.Options{Auth: true})
	reg.Image("library/app", "1", 1000)
	reg.Faults.Set(upstreamtest.Fault{Kind: upstreamtest.Token, Delay: 200 * time.Millisecond})
	r, repo := connect(t, nil, reg.URL()), repository(t, "app")
	errs := make(chan error)
	for range 10 {
		go func() {
			_, err := r.HeadManifest(context.Background(), repo, tag(t, "1"))
			errs <- err
		}()
	}
	for range 10 {
		require.NoError(t, <-errs)
	}
	assert.Equal(t, 1, reg.Counts().Requests[upstreamtest.Token])
}

func TestPrivateRepositoryNeedsHostsCredential(t *testing.T) {
	reg := upstreamtest.Start(t, upstreamtest.Options{Auth: true, Username: "ada", Password: "secret", Private: []string{"corp/app"}, CDN: true})
	image := reg.Image("corp/app", "1", 1000)
	repo := repository(t, "corp/app")

	_, err := connect(t, nil, reg.URL()).GetManifest(t.Context(), repo, tag(t, "1"))
	failed := new(upstream.Error)
	require.ErrorAs(t, err, &failed)
	assert.True(t, failed.Denied())

	r := connect(t, credentials{reg.Host(), "ada", "secret"}, reg.URL())
	_, err = r.HeadManifest(t.Context(), repo, tag(t, "1"))
	require.NoError(t, err)
	blob, err := r.Blob(repo, image.Layers[0].Digest).Open(t.Context(), 0, 0)
	require.NoError(t, err)
	blob.Body.Close()
	assertWellBehaved(t, reg)
}

// changing is a credential that can change while in use, like one from a file or a helper.
type changing struct{ authn.Basic }

func (c *changing) Resolve(authn.Resource) (authn.Authenticator, error) {
	now := c.Basic
	return &now, nil
}

func TestCredentialMayChange(t *testing.T) {
	reg := upstreamtest.Start(t, upstreamtest.Options{Auth: true, Username: "ada", Password: "second", Private: []string{"corp/app"}})
	reg.Image("corp/app", "1", 1000)
	credential := &changing{authn.Basic{Username: "ada", Password: "first"}}
	r, repo := connect(t, authn.RefreshingKeychain(credential, 0), reg.URL()), repository(t, "corp/app")
	_, err := r.HeadManifest(t.Context(), repo, tag(t, "1"))
	failed := new(upstream.Error)
	require.ErrorAs(t, err, &failed)
	assert.True(t, failed.Denied())
	credential.Password = "second"
	_, err = r.HeadManifest(t.Context(), repo, tag(t, "1"))
	require.NoError(t, err)
}

func TestCredentialStaysOnSite(t *testing.T) {
	elsewhere := upstreamtest.Start(t, upstreamtest.Options{Host: "127.0.0.4"})
	reg := upstreamtest.Start(t, upstreamtest.Options{Auth: true, Username: "ada", Password: "secret", Realm: elsewhere.URL() + "/token"})
	reg.Image("library/app", "1", 1000)
	_, err := connect(t, credentials{reg.Host(), "ada", "secret"}, reg.URL()).
		HeadManifest(t.Context(), repository(t, "app"), tag(t, "1"))
	require.ErrorContains(t, err, "another site")
	assert.Empty(t, elsewhere.Requests())
}

func TestErrorsSayWhyUpstreamFailed(t *testing.T) {
	t.Parallel()
	reg := upstreamtest.Start(t, upstreamtest.Options{})
	reg.Image("library/app", "1", 1000)
	repo := repository(t, "app")
	get := func(ref string) *upstream.Error {
		t.Helper()
		// A new client each time, since one that has to wait sends no request.
		_, err := connect(t, nil, reg.URL()).GetManifest(t.Context(), repo, tag(t, ref))
		failed := new(upstream.Error)
		require.ErrorAs(t, err, &failed)
		assert.Equal(t, "docker.io", failed.Registry)
		return failed
	}
	assert.True(t, get("no-such-tag").NotFound())

	reg.Faults.Set(upstreamtest.Fault{Status: 429, Header: http.Header{"Retry-After": {"7"}}})
	assert.Equal(t, 7*time.Second, get("1").RetryAfter)

	reg.Faults.Set(upstreamtest.Fault{Status: 500})
	assert.Equal(t, 500, get("1").Status)

	reg.Faults.Set(upstreamtest.Fault{Hang: true})
	assert.True(t, get("1").Timeout())

	reg.Faults.Clear()
	reg.Stop()
	assert.Zero(t, get("1").Status)
}

func TestInvalidManifestIsRejected(t *testing.T) {
	reg := upstreamtest.Start(t, upstreamtest.Options{})
	image := reg.Image("library/app", "1", 1000)
	r, repo := connect(t, nil, reg.URL()), repository(t, "app")
	byTag, byDigest := tag(t, "1"), upstream.ByDigest(image.Digest)
	for name, fault := range map[string]upstreamtest.Fault{
		"an HTML page":   {HTML: true, Header: http.Header{"Docker-Content-Digest": nil}},
		"a wrong byte":   {Damage: upstreamtest.Corrupt, At: 20},
		"cut short":      {Damage: upstreamtest.Cut, At: 20},
		"a shorter body": {Damage: upstreamtest.Truncate, At: 20},
		"a longer body":  {Damage: upstreamtest.Pad, At: 20},
	} {
		t.Run(name, func(t *testing.T) {
			reg.Faults.Set(fault)
			defer reg.Faults.Clear()
			for _, ref := range []upstream.Reference{byTag, byDigest} {
				_, err := r.GetManifest(t.Context(), repo, ref)
				assert.ErrorIs(t, err, upstream.ErrBadContent, "by %s", ref)
			}
		})
	}
}

func TestHeadWithoutDigestIsNoError(t *testing.T) {
	reg := upstreamtest.Start(t, upstreamtest.Options{})
	reg.Image("library/app", "1", 1000)
	r, repo := connect(t, nil, reg.URL()), repository(t, "app")
	for name, fault := range map[string]upstreamtest.Fault{
		"no digest": {Kind: upstreamtest.ManifestHead, Header: http.Header{"Docker-Content-Digest": nil}},
		"405":       {Kind: upstreamtest.ManifestHead, Status: http.StatusMethodNotAllowed},
	} {
		t.Run(name, func(t *testing.T) {
			reg.Faults.Set(fault)
			d, err := r.HeadManifest(t.Context(), repo, tag(t, "1"))
			require.NoError(t, err)
			assert.Empty(t, d.Digest)
		})
	}
}

func TestEndpointsAreTriedInOrder(t *testing.T) {
	first := upstreamtest.Start(t, upstreamtest.Options{})
	second := upstreamtest.Start(t, upstreamtest.Options{Host: "127.0.0.4"})
	second.Image("library/app", "1", 1000)
	r, repo := connect(t, nil, first.URL(), second.URL()), repository(t, "app")

	_, err := r.HeadManifest(t.Context(), repo, tag(t, "1"))
	require.NoError(t, err, "the first endpoint lacks the image")
	first.Stop()
	_, err = r.HeadManifest(t.Context(), repo, tag(t, "1"))
	require.NoError(t, err, "the first endpoint is down")

	second.Faults.Set(upstreamtest.Fault{Status: 503})
	require.NoError(t, first.Restart())
	_, err = r.GetManifest(t.Context(), repo, tag(t, "1"))
	failed := new(upstream.Error)
	require.ErrorAs(t, err, &failed)
	assert.Equal(t, 503, failed.Status, "the 404 of a partial mirror does not count")
}

func TestStalledBodyIsAbandoned(t *testing.T) {
	t.Parallel()
	reg := upstreamtest.Start(t, upstreamtest.Options{CDN: true})
	d := reg.Blob("library/app", upstreamtest.Random(1, 100_000))
	reg.Faults.Set(upstreamtest.Fault{Kind: upstreamtest.CDNGet, Damage: upstreamtest.Stall, At: 1000})
	blob, err := connect(t, nil, reg.URL()).Blob(repository(t, "app"), d).Open(t.Context(), 0, 0)
	require.NoError(t, err)
	defer blob.Body.Close()
	n, err := io.Copy(io.Discard, blob.Body)
	assert.ErrorContains(t, err, "no bytes arrived")
	assert.LessOrEqual(t, n, int64(1000))
}

func TestSlowReaderIsNoStall(t *testing.T) {
	t.Parallel()
	reg := upstreamtest.Start(t, upstreamtest.Options{})
	d := reg.Blob("library/app", upstreamtest.Random(1, 50_000))
	blob, err := connect(t, nil, reg.URL()).Blob(repository(t, "app"), d).Open(t.Context(), 0, 0)
	require.NoError(t, err)
	defer blob.Body.Close()
	_, err = io.ReadFull(blob.Body, make([]byte, 10))
	require.NoError(t, err)
	time.Sleep(2 * quick.IdleBody) // long enough for the limit to strike if it counted the reader's time
	rest, err := io.ReadAll(blob.Body)
	require.NoError(t, err)
	assert.Len(t, rest, 49_990)
}

func TestBlobSizeFoundWithoutBytes(t *testing.T) {
	reg := upstreamtest.Start(t, upstreamtest.Options{CDN: true})
	d := reg.Blob("library/app", upstreamtest.Random(1, 50_000))
	r, repo := connect(t, nil, reg.URL()), repository(t, "app")
	for name, fault := range map[string]upstreamtest.Fault{
		"no fault":           {Kind: upstreamtest.Ping},
		"HEAD is 405":        {Kind: upstreamtest.BlobHead, Status: http.StatusMethodNotAllowed},
		"HEAD is 404":        {Kind: upstreamtest.BlobHead, Status: http.StatusNotFound},
		"HEAD says 0":        {Kind: upstreamtest.BlobHead, Header: http.Header{"Content-Length": {"0"}}},
		"HEAD is wrong":      {Kind: upstreamtest.BlobHead, Header: http.Header{"Content-Length": {"7"}}},
		"ranges are ignored": {Kind: upstreamtest.CDNGet, IgnoreRange: true},
	} {
		t.Run(name, func(t *testing.T) {
			reg.Faults.Set(fault)
			before := reg.Counts()
			size, err := r.Blob(repo, d).Size(t.Context())
			require.NoError(t, err)
			assert.EqualValues(t, 50_000, size)
			if !fault.IgnoreRange {
				assert.LessOrEqual(t, reg.Counts().BlobBytes-before.BlobBytes, int64(1))
			}
			assert.Equal(t, before.Requests[upstreamtest.BlobHead], reg.Counts().Requests[upstreamtest.BlobHead])
		})
	}
}

func TestListPagesFollowUpstreamsLinks(t *testing.T) {
	reg := upstreamtest.Start(t, upstreamtest.Options{PageSize: 2})
	for _, name := range []string{"a", "b", "c"} {
		reg.Image("library/app", name, 100)
	}
	r, repo := connect(t, nil, reg.URL()), repository(t, "app")
	var all []string
	for query := (url.Values{}); query != nil; {
		list, err := r.Tags(t.Context(), repo, query)
		require.NoError(t, err)
		all = append(all, string(list.Body))
		query = list.Next
	}
	require.Len(t, all, 2)
	assert.True(t, strings.Contains(all[0], `"b"`) && strings.Contains(all[1], `"c"`), "%q", all)
}

func TestPublicUpstreamCannotRedirectInside(t *testing.T) {
	// The endpoint only exists in this transport, and answers with the redirect under test.
	inside := upstreamtest.Start(t, upstreamtest.Options{})
	redirecting := roundTrip(func(req *http.Request) (*http.Response, error) {
		if req.URL.Host == "registry.example.com" {
			return &http.Response{StatusCode: http.StatusTemporaryRedirect, Body: http.NoBody, Request: req,
				Header: http.Header{"Location": {req.Header.Get("X-Test-Location")}}}, nil
		}
		return http.DefaultTransport.RoundTrip(req)
	})
	for _, target := range []string{inside.URL(), "https://169.254.169.254/latest/meta-data", "https://[::1]/", "https://localhost/", "http://public.example.net/"} {
		base, err := url.Parse("https://registry.example.com")
		require.NoError(t, err)
		r, err := upstream.New(upstream.Config{Name: "x", Endpoints: []*url.URL{base}, Transport: roundTrip(func(req *http.Request) (*http.Response, error) {
			req.Header.Set("X-Test-Location", target)
			return redirecting(req)
		})})
		require.NoError(t, err)
		_, err = r.Blob(repository(t, "app"), digest.FromString("")).Open(t.Context(), 0, 0)
		assert.ErrorContains(t, err, "not following", target)
	}
	assert.Empty(t, inside.Requests())
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }
