package upstreamtest_test

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/upstream/upstreamtest"
)

// reply is a response, with as much of its body as arrived.
type reply struct {
	*http.Response
	body []byte
	err  error // from reading the body
}

// ask sends one request, without following redirects, for at most 10 s. Headers are pairs of name and value.
func ask(t *testing.T, method, url string, headers ...string) (reply, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	return askWith(ctx, method, url, headers...)
}

func askWith(ctx context.Context, method, url string, headers ...string) (reply, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, nil)
	if err != nil {
		return reply{}, err
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	// A new transport, since net/http would silently retry on a pooled connection that the server cut.
	transport := &http.Transport{DisableCompression: true, DisableKeepAlives: true}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return reply{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return reply{resp, body, err}, nil
}

// get is ask for a GET that must get a response.
func get(t *testing.T, url string, headers ...string) reply {
	t.Helper()
	r, err := ask(t, http.MethodGet, url, headers...)
	require.NoError(t, err)
	return r
}

func head(t *testing.T, url string, headers ...string) reply {
	t.Helper()
	r, err := ask(t, http.MethodHead, url, headers...)
	require.NoError(t, err)
	return r
}

func into[T any](t *testing.T, r reply) T {
	t.Helper()
	var v T
	require.NoError(t, json.Unmarshal(r.body, &v), "%s", r.body)
	return v
}

// token fetches a token for a repository.
func token(t *testing.T, reg *upstreamtest.Registry, repo string, headers ...string) string {
	t.Helper()
	r := get(t, "http://"+reg.TokenHost()+"/token?scope=repository:"+repo+":pull", headers...)
	require.Equal(t, http.StatusOK, r.StatusCode)
	body := into[map[string]any](t, r)
	return body["access_token"].(string)
}

// crane sets up go-containerregistry. It refuses redirects to literal loopback addresses, so the CDN has a name.
func crane(t *testing.T, reg *upstreamtest.Registry, ref string) (name.Reference, []remote.Option) {
	t.Helper()
	parsed, err := name.ParseReference(reg.Host()+"/"+ref, name.Insecure)
	require.NoError(t, err)
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		if host, _, _ := net.SplitHostPort(addr); host == "cdn.test" {
			addr = reg.CDNHost()
		}
		return new(net.Dialer).DialContext(ctx, network, addr)
	}
	t.Cleanup(transport.CloseIdleConnections)
	return parsed, []remote.Option{remote.WithTransport(transport), remote.WithContext(t.Context())}
}
