package upstream_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/upstream"
)

// network is one in memory, for bubbles of testing/synctest: hosts that do as they are told.
type network struct {
	mu    sync.Mutex
	hosts map[string]behaviour
	asked map[string][]string // by host: method and kind of each request but pings
	last  string              // method of the latest of these
}

// behaviour answers a request, or fails.
type behaviour func(*http.Request) (*http.Response, error)

func (n *network) set(host string, b behaviour) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.hosts == nil {
		n.hosts, n.asked = map[string]behaviour{}, map[string][]string{}
	}
	n.hosts[host] = b
}

// count is how often a host was asked since the last count.
func (n *network) count(host string) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	asked := len(n.asked[host])
	delete(n.asked, host)
	return asked
}

func (n *network) RoundTrip(req *http.Request) (*http.Response, error) {
	n.mu.Lock()
	do := n.hosts[req.URL.Host]
	if req.URL.Path != "/v2/" {
		n.last = req.Method
		n.asked[req.URL.Host] = append(n.asked[req.URL.Host], req.Method+" "+req.URL.Path)
	}
	n.mu.Unlock()
	resp, err := do(req)
	if resp != nil {
		resp.Request = req
	}
	return resp, err
}

// answers with a status and header lines.
func answers(status int, lines ...string) behaviour {
	return func(req *http.Request) (*http.Response, error) {
		resp := &http.Response{StatusCode: status, Header: http.Header{}, Body: body{req.Context(), strings.NewReader("{}")}, ContentLength: 2}
		if status == http.StatusOK && strings.Contains(req.URL.Path, "/manifests/") {
			resp.Header.Set("Docker-Content-Digest", digest.FromString("{}").String())
		}
		for _, line := range lines {
			name, value, _ := strings.Cut(line, ": ")
			resp.Header.Set(name, value)
		}
		return resp, nil
	}
}

// body fails when its request's context ends, as that of a connection does.
type body struct {
	ctx context.Context
	io.Reader
}

func (b body) Read(p []byte) (int, error) {
	if b.ctx.Err() != nil {
		return 0, b.ctx.Err()
	}
	return b.Reader.Read(p)
}

func (b body) Close() error { return nil }

var errRefused = &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}

// errTimeout is what net/http fails with when no headers come.
type errTimeout struct{}

func (errTimeout) Error() string   { return "timeout awaiting response headers" }
func (errTimeout) Timeout() bool   { return true }
func (errTimeout) Temporary() bool { return true }

func refusesConnections(*http.Request) (*http.Response, error) { return nil, errRefused }

// hangs gives no answer; the client's transport gives up after 10 s.
func hangs(req *http.Request) (*http.Response, error) {
	select {
	case <-req.Context().Done():
		return nil, req.Context().Err()
	case <-time.After(10 * time.Second):
		return nil, errTimeout{}
	}
}

// after lets the time pass first.
func after(d time.Duration, b behaviour) behaviour {
	return func(req *http.Request) (*http.Response, error) {
		select {
		case <-req.Context().Done():
			return nil, req.Context().Err()
		case <-time.After(d):
			return b(req)
		}
	}
}

// on behaves otherwise for requests of a method and a kind such as manifests.
func on(method, kind string, b, otherwise behaviour) behaviour {
	return func(req *http.Request) (*http.Response, error) {
		if req.Method == method && strings.Contains(req.URL.Path, "/"+kind+"/") {
			return b(req)
		}
		return otherwise(req)
	}
}

// client has an upstream with endpoints at hosts of the network.
type client struct {
	*upstream.Registry
	t *testing.T
}

func (n *network) client(t *testing.T, hosts ...string) client {
	t.Helper()
	return n.clientWith(t, upstream.Config{Reserve: 0.1}, hosts...)
}

func (n *network) clientWith(t *testing.T, cfg upstream.Config, hosts ...string) client {
	t.Helper()
	cfg.Name, cfg.Transport = "docker.io", n
	for _, host := range hosts {
		cfg.Endpoints = append(cfg.Endpoints, &url.URL{Scheme: "https", Host: host})
	}
	r, err := upstream.New(cfg)
	require.NoError(t, err)
	return client{r, t}
}

// bubble runs a test on a client in a bubble. The client is made outside, since its cache of tokens has a goroutine that
// does not end.
func bubble(t *testing.T, hosts []string, do func(*testing.T, *network, client)) {
	t.Helper()
	n := new(network)
	c := n.client(t, hosts...)
	synctest.Test(t, func(t *testing.T) {
		c.t = t
		do(t, n, c)
	})
}

// head asks what a known tag names, which can be done without.
func (c client) head() error {
	_, err := c.HeadManifest(c.t.Context(), repository(c.t, "app"), tag(c.t, "1"))
	return err
}

// revalidate asks what a known tag names, by GET if HEAD does not tell.
func (c client) revalidate() error {
	d, err := c.HeadManifest(c.t.Context(), repository(c.t, "app"), tag(c.t, "1"))
	if err == nil && d.Digest == "" {
		return c.get()
	}
	return err
}

// get asks for a manifest, which cannot.
func (c client) get() error {
	_, err := c.GetManifest(c.t.Context(), repository(c.t, "app"), tag(c.t, "1"))
	return err
}

func (c client) blob() error {
	part, err := c.Blob(repository(c.t, "app"), digest.FromString("")).Open(c.t.Context(), 0, 0)
	if err == nil {
		err = part.Body.Close()
	}
	return err
}

func (c client) state(endpoint int) string { return c.Status()[endpoint].State }

// failure is an error as what it must be.
func failure(t *testing.T, err error) *upstream.Error {
	t.Helper()
	failed := new(upstream.Error)
	require.ErrorAs(t, err, &failed)
	return failed
}
