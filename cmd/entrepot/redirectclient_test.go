package main_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/infra/testenv"
)

// disguised replaces a client's User-Agent.
type disguised struct{ http.RoundTripper }

func (d disguised) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("User-Agent", "somebody")
	return d.RoundTripper.RoundTrip(r)
}

// follower fails a client's request to the bucket.
type follower struct{ bucket string }

func (f *follower) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Host == f.bucket {
		return nil, errors.New("went to the bucket")
	}
	return http.DefaultTransport.RoundTrip(r)
}

func TestClientsUnableToFollowRedirectsGetBytes(t *testing.T) {
	t.Parallel()
	server := sharedBucket(t)
	upstream := testenv.StartRegistry(t, "127.0.0.2")
	path, digest := pushBlob(t, upstream, "app", 100_000)
	p := start(t, append(minioStore(server), "ENTREPOT_UPSTREAMS=corp="+upstream.URL(), "ENTREPOT_STREAM_TO=10.0.0.0/8,wagon/")...)
	p.WaitUntil(t, "answers", func() error { return answers(p.url("/v2/"), http.StatusOK) })
	p.redirectOf(t, path)
	_, port, _ := strings.Cut(p.addr, ":")

	pull := func(through http.RoundTripper) error {
		// The mirror has a host name, the bucket an IP address.
		ref, err := name.NewDigest("localhost:"+port+"/app@"+digest, name.Insecure)
		require.NoError(t, err)
		layer, err := remote.Layer(ref, remote.WithTransport(through))
		require.NoError(t, err)
		body, err := layer.Compressed()
		if err != nil {
			return err
		}
		defer body.Close()
		content, err := io.ReadAll(body)
		require.NoError(t, err)
		assert.Equal(t, digest, digestOf(content))
		return nil
	}
	require.NoError(t, pull(http.DefaultTransport))
	require.ErrorContains(t, pull(disguised{http.DefaultTransport}), "SSRF protection", "go-containerregistry would not have followed")

	get := func(host, agent, token string) (int, string) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+host+":"+port+path, nil)
		require.NoError(t, err)
		req.Header.Set("User-Agent", agent)
		if token != "" {
			req.Header.Set("Authorization", "Bearer "+token)
		}
		resp, err := (&http.Client{Transport: &follower{server.Addr}}).Do(req)
		if err != nil {
			return 0, err.Error()
		}
		defer resp.Body.Close()
		content, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		return resp.StatusCode, digestOf(content)
	}
	for _, test := range []struct {
		host, agent, token string
		follows            bool
	}{
		{host: "localhost", agent: "docker/29", follows: true},
		{host: "localhost", agent: "cosign/v3 go-containerregistry/v0.22.1"},
		{host: "127.0.0.1", agent: "cosign/v3 go-containerregistry/v0.22.1", follows: true}, // the bucket's own host
		{host: "localhost", agent: "wagon/2.1 (linux)"},
		{host: "localhost", agent: "docker/29", token: "secret", follows: true}, // Go's client does not send the token to another host
		{host: "127.0.0.1", agent: "docker/29", token: "secret"},
	} {
		status, got := get(test.host, test.agent, test.token)
		if test.follows {
			assert.Contains(t, got, "went to the bucket", "%+v", test)
		} else {
			assert.Equal(t, http.StatusOK, status, "%+v", test)
			assert.Equal(t, digest, got, "%+v", test)
		}
	}

	// The reason: the bucket rejects a presigned URL that comes with other credentials.
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.redirectOf(t, path).String(), nil)
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer secret")
	resp, err := http.DefaultTransport.RoundTrip(req)
	require.NoError(t, err)
	resp.Body.Close()
	assert.Equal(t, http.StatusBadRequest, resp.StatusCode)

	log := p.Output(t)
	assert.Equal(t, 1, strings.Count(log, "streaming to go-containerregistry clients"), log)
	assert.Equal(t, 1, strings.Count(log, "streaming to clients with credentials"), log)
	assert.Equal(t, 1, strings.Count(log, "streaming to protect client credentials"), log)
}
