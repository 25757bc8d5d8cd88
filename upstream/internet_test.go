package upstream_test

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/dns/dnsmessage"

	"github.com/entrepot-io/entrepot/upstream"
	"github.com/entrepot-io/entrepot/upstream/upstreamtest"
)

// internet is the part of loopback that these tests treat as public.
var internet = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/28")}

// inside is a loopback address that stays private.
const inside = "127.0.0.77"

// dns resolves hosts until the test ends. It replaces net.DefaultResolver, so tests that use it cannot be parallel.
func dns(t *testing.T, hosts map[string]string) {
	t.Helper()
	server, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { server.Close() })
	go func() {
		packet := make([]byte, 1500)
		for {
			n, client, err := server.ReadFrom(packet)
			if err != nil {
				return
			}
			if answer := resolve(packet[:n], hosts); answer != nil {
				_, _ = server.WriteTo(answer, client)
			}
		}
	}()
	former := net.DefaultResolver
	t.Cleanup(func() { net.DefaultResolver = former })
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", server.LocalAddr().String())
	}}
}

func resolve(query []byte, hosts map[string]string) []byte {
	var m dnsmessage.Message
	if m.Unpack(query) != nil || len(m.Questions) != 1 {
		return nil
	}
	q := m.Questions[0]
	addr, known := hosts[q.Name.String()]
	m.Response, m.Authoritative, m.Additionals = true, true, nil
	switch {
	case !known:
		m.RCode = dnsmessage.RCodeNameError
	case q.Type == dnsmessage.TypeA:
		m.Answers = []dnsmessage.Resource{{
			Header: dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class},
			Body:   &dnsmessage.AResource{A: netip.MustParseAddr(addr).As4()},
		}}
	}
	answer, err := m.Pack()
	if err != nil {
		return nil
	}
	return answer
}

// connectPublicly is connect with a given transport.
func connectPublicly(t *testing.T, rt http.RoundTripper, keychain authn.Keychain, endpoints ...string) *upstream.Registry {
	t.Helper()
	cfg := upstream.Config{Name: "docker.io", Keychain: keychain, Transport: rt}
	for _, e := range endpoints {
		u, err := url.Parse(e)
		require.NoError(t, err)
		cfg.Endpoints = append(cfg.Endpoints, u)
	}
	r, err := upstream.New(cfg)
	require.NoError(t, err)
	return r
}

// everything sends an upstream one request of each kind, and returns the errors by kind.
func everything(t *testing.T, r *upstream.Registry) map[string]error {
	t.Helper()
	ctx, repo, d, errs := t.Context(), repository(t, "app"), digest.FromString("x"), map[string]error{}
	_, errs["manifest by tag"] = r.GetManifest(ctx, repo, tag(t, "1"))
	_, errs["manifest by digest"] = r.GetManifest(ctx, repo, upstream.ByDigest(d))
	_, errs["tags"] = r.Tags(ctx, repo, nil)
	_, errs["referrers"] = r.Referrers(ctx, repo, d, nil)
	_, errs["size"] = r.Blob(repo, d).Size(ctx)
	_, errs["blob"] = r.Blob(repo, d).Open(ctx, 0, 0)
	return errs
}

// victim starts a private server. Its responses contain secrets.
func victim(t *testing.T) (_ *upstreamtest.Registry, port string) {
	v := upstreamtest.Start(t, upstreamtest.Options{Host: inside})
	v.Image("library/app", "1", 100)
	v.Faults.Set(upstreamtest.Fault{Body: []byte(`{"tags":["secret"],"manifests":[],"token":"secret"}`)})
	_, port, err := net.SplitHostPort(v.Host())
	require.NoError(t, err)
	return v, port
}

func redirectTo(location string) upstreamtest.Fault {
	return upstreamtest.Fault{Status: http.StatusTemporaryRedirect, Header: http.Header{"Location": {location}}}
}

func TestRedirectsByNameStayOnPublicAddresses(t *testing.T) {
	dns(t, map[string]string{"metadata.test.": inside, "private.test.": "10.9.9.9", "link.test.": "169.254.169.254"})
	v, port := victim(t)
	reg := upstreamtest.Start(t, upstreamtest.Options{})
	reg.Image("library/app", "1", 100)
	rt := upstream.NewTransportIn(internet, quick)
	for _, host := range []string{"metadata.test:" + port, "private.test", "link.test", inside + ":" + port, "100.64.0.1", "192.0.0.1",
		"[::ffff:127.0.0.77]:" + port, "localhost:" + port, "[::1]:" + port, "0.0.0.0:" + port} {
		reg.Faults.Set(redirectTo("http://" + host + "/v2/library/app/manifests/1"))
		r := connectPublicly(t, rt, nil, reg.URL())
		for kind, err := range everything(t, r) {
			assert.ErrorContains(t, err, "not following", "%s at %s", kind, host)
		}
		assert.Equal(t, upstream.StateHealthy, r.Status()[0].State)
	}
	assert.Empty(t, v.Requests())
}

func TestTokenServiceByNameMustBePublic(t *testing.T) {
	dns(t, map[string]string{"metadata.test.": inside, "auth.test.": "127.0.0.2"})
	v, port := victim(t)
	rt := upstream.NewTransportIn(internet, quick)
	for _, realm := range []string{"http://metadata.test:" + port + "/token", "http://" + inside + ":" + port + "/token"} {
		reg := upstreamtest.Start(t, upstreamtest.Options{Auth: true, Realm: realm})
		for kind, err := range everything(t, connectPublicly(t, rt, nil, reg.URL())) {
			assert.ErrorContains(t, err, "not following", kind)
			assert.NotContains(t, err.Error(), "secret")
		}
		through := upstreamtest.Start(t, upstreamtest.Options{Auth: true})
		through.Faults.Set(upstreamtest.Fault{Kind: upstreamtest.Token, Status: 307, Header: http.Header{"Location": {realm}}})
		for kind, err := range everything(t, connectPublicly(t, rt, nil, through.URL())) {
			assert.ErrorContains(t, err, "not following", kind)
		}
	}
	assert.Empty(t, v.Requests())

	reg := upstreamtest.Start(t, upstreamtest.Options{Auth: true})
	reg.Image("library/app", "1", 100)
	_, port, err := net.SplitHostPort(reg.Host())
	require.NoError(t, err)
	named := upstreamtest.Start(t, upstreamtest.Options{Auth: true, Realm: "http://auth.test:" + port + "/token"})
	_, err = connectPublicly(t, rt, nil, named.URL()).GetManifest(t.Context(), repository(t, "app"), tag(t, "1"))
	assert.Equal(t, 401, failure(t, err).Status, "the token is fetched, but belongs to another registry")
}

func TestUpstreamsShareNoPrivateConnections(t *testing.T) {
	dns(t, map[string]string{"registry.test.": inside})
	v := upstreamtest.Start(t, upstreamtest.Options{Host: inside})
	image := v.Image("library/app", "1", 100)
	_, port, err := net.SplitHostPort(v.Host())
	require.NoError(t, err)
	rt := upstream.NewTransportIn(internet, quick)
	configured := connectPublicly(t, rt, nil, "http://registry.test:"+port)
	_, err = configured.GetManifest(t.Context(), repository(t, "app"), tag(t, "1"))
	require.NoError(t, err, "the operator configured the private address")
	asked := len(v.Requests())

	reg := upstreamtest.Start(t, upstreamtest.Options{})
	reg.Image("library/app", "1", 1)
	reg.Faults.Set(redirectTo("http://registry.test:" + port + "/v2/library/app/manifests/" + image.Digest.String()))
	_, err = connectPublicly(t, rt, nil, reg.URL()).GetManifest(t.Context(), repository(t, "app"), upstream.ByDigest(image.Digest))
	assert.ErrorContains(t, err, "not following")
	assert.Len(t, v.Requests(), asked)
}

func TestPrivateUpstreamMayHavePrivateStorage(t *testing.T) {
	dns(t, map[string]string{"registry.test.": "127.0.0.78", "cdn.test.": "127.0.0.79", "auth.test.": "127.0.0.80"})
	reg := upstreamtest.Start(t, upstreamtest.Options{Host: "127.0.0.78", CDN: true, CDNHost: "127.0.0.79", CDNName: "cdn.test",
		Auth: true, TokenHost: "127.0.0.80"})
	image := reg.Image("library/app", "1", 1000)
	_, port, err := net.SplitHostPort(reg.Host())
	require.NoError(t, err)
	for _, endpoint := range []string{reg.URL(), "http://registry.test:" + port} {
		r := connectPublicly(t, upstream.NewTransportIn(internet, quick), nil, endpoint)
		blob := r.Blob(repository(t, "app"), image.Layers[0].Digest)
		for range 2 { // through the redirect, then directly
			part, err := blob.Open(t.Context(), 0, 10)
			require.NoError(t, err, endpoint)
			part.Body.Close()
		}
	}
	// A public hop may not redirect to a private address, even if a private server redirected to the hop.
	hop := upstreamtest.Start(t, upstreamtest.Options{Host: "127.0.0.3"})
	hop.Image("library/app", "1", 1)
	hop.Faults.Set(redirectTo("http://" + reg.CDNHost() + "/"))
	reg.Faults.Set(redirectTo(hop.URL() + "/v2/library/app/blobs/" + image.Layers[0].Digest.String()))
	_, err = connectPublicly(t, upstream.NewTransportIn(internet, quick), nil, reg.URL()).
		Blob(repository(t, "app"), image.Layers[0].Digest).Open(t.Context(), 0, 0)
	assert.ErrorContains(t, err, "not following")
}
