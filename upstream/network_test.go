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

// network is an in-memory network for bubbles of testing/synctest. Each host has a behaviour.
type network struct {
	mu    sync.Mutex
	hosts map[string]behaviour
	asked map[string][]string // by host: method and path of each request except pings
	last  string              // method of the latest of those
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

// count returns how many requests a host received since the last count.
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

// answers returns a behaviour that responds with a status and header lines.
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

// body fails after its request's context ends, like a connection's.
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

// errTimeout is the error of net/http if no headers arrive.
type errTimeout struct{}

func (errTimeout) Error() string   { return "timeout awaiting response headers" }
func (errTimeout) Timeout() bool   { return true }
func (errTimeout) Temporary() bool { return true }

func refusesConnections(*http.Request) (*http.Response, error) { return nil, errRefused }

// hangs never responds. The client's transport gives up after 10 s.
func hangs(req *http.Request) (*http.Response, error) {
	select {
	case <-req.Context().Done():
		return nil, req.Context().Err()
	case <-time.After(10 * time.Second):
		return nil, errTimeout{}
	}
}

// after delays a behaviour.
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

// on behaves as b for requests of a method and a kind such as manifests, and as otherwise for the rest.
func on(method, kind string, b, otherwise behaviour) behaviour {
	return func(req *http.Request) (*http.Response, error) {
		if req.Method == method && strings.Contains(req.URL.Path, "/"+kind+"/") {
			return b(req)
		}
		return otherwise(req)
	}
}

// client is a client of an upstream whose endpoints are hosts of the network.
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

// bubble runs a test with a client in a bubble of testing/synctest. It creates the client outside, since the goroutine of
// the client's token cache does not end.
func bubble(t *testing.T, hosts []string, do func(*testing.T, *network, client)) {
	t.Helper()
	n := new(network)
	c := n.client(t, hosts...)
	synctest.Test(t, func(t *testing.T) {
		c.t = t
		do(t, n, c)
	})
}

// head revalidates a known tag by HEAD, which is optional.
func (c client) head() error {
	_, err := c.HeadManifest(c.t.Context(), repository(c.t, "app"), tag(c.t, "1"))
	return err
}

// revalidate revalidates a known tag by HEAD, or by GET if HEAD gives no digest.
func (c client) revalidate() error {
	d, err := c.HeadManifest(c.t.Context(), repository(c.t, "app"), tag(c.t, "1"))
	if err == nil && d.Digest == "" {
		return c.get()
	}
	return err
}

// get fetches a manifest, which is required.
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

// failure returns err as an *upstream.Error, which it must be.
func failure(t *testing.T, err error) *upstream.Error {
	t.Helper()
	failed := new(upstream.Error)
	require.ErrorAs(t, err, &failed)
	return failed
}
