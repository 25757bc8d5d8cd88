package mirror_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/mirror"
	"github.com/entrepot-io/entrepot/upstream"
)

// origin is an upstream inside a bubble of testing/synctest. All tags name its current manifest.
type origin struct {
	// clients are created outside the bubble, since they have goroutines that never end.
	clients []*upstream.Registry

	mu     sync.Mutex
	body   string            // of every manifest and of every referrers index
	bodies map[string]string // of manifests, by tag or digest, in place of body
	tags   string            // body of every tag list
	status int               // of every response, if it is an error; 0: no error
	delay  time.Duration     // before every response
	asked  map[string]int
}

const indexType = "application/vnd.oci.image.index.v1+json"

// inBubble runs a test inside a bubble.
func inBubble(t *testing.T, test func(t *testing.T, o *origin)) {
	t.Helper()
	o := &origin{body: `{"manifests":[]}`, tags: `{"name":"library/app","tags":["1"]}`, asked: map[string]int{}}
	for range 8 {
		u, err := upstream.New(upstream.Config{
			Name: "docker.io", Endpoints: []*url.URL{{Scheme: "http", Host: "origin"}}, Transport: o, Budget: 3 * time.Second,
		})
		require.NoError(t, err)
		o.clients = append(o.clients, u)
	}
	synctest.Test(t, func(t *testing.T) { test(t, o) })
}

// set changes the origin.
func (o *origin) set(change func(o *origin)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	change(o)
}

// move makes all tags name another manifest, and returns its digest.
func (o *origin) move() digest.Digest {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.body = strings.Replace(o.body, "{", "{ ", 1)
	return digest.FromString(o.body)
}

func (o *origin) digest() digest.Digest {
	o.mu.Lock()
	defer o.mu.Unlock()
	return digest.FromString(o.body)
}

func (o *origin) count(method string) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.asked[method]
}

func (o *origin) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL.Path == "/v2/" { // the ping, to learn which authentication is needed
		return &http.Response{StatusCode: http.StatusOK, Request: req, Body: http.NoBody, Header: http.Header{}}, nil
	}
	o.mu.Lock()
	o.asked[req.Method]++
	body, status, delay := o.body, o.status, o.delay
	if other, ok := o.bodies[path.Base(req.URL.Path)]; ok {
		body = other
	}
	if strings.HasSuffix(req.URL.Path, "/tags/list") {
		body = o.tags
	}
	o.mu.Unlock()
	select {
	case <-req.Context().Done():
		return nil, req.Context().Err()
	case <-time.After(delay):
	}
	resp := &http.Response{
		StatusCode: http.StatusOK, Request: req, ContentLength: int64(len(body)), Body: io.NopCloser(strings.NewReader(body)),
		Header: http.Header{
			"Content-Type": {indexType}, "Docker-Content-Digest": {digest.FromString(body).String()},
			"Content-Length": {strconv.Itoa(len(body))},
		},
	}
	if status != 0 {
		resp.StatusCode, resp.ContentLength, resp.Body, resp.Header = status, 0, http.NoBody, http.Header{}
	}
	if req.Method == http.MethodHead {
		resp.Body = http.NoBody
	}
	return resp, nil
}

// bubbled starts a replica inside a bubble. Fields that cfg does not set are as in startReplica.
func bubbled(t *testing.T, store backend.Store, o *origin, cfg mirror.Config) replica {
	t.Helper()
	cfg.Store, cfg.Upstreams = store, o.clients[:1]
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.NewTextHandler(t.Output(), nil))
	}
	o.clients = o.clients[1:]
	if cfg.TagTTL == 0 {
		cfg.TagTTL = time.Minute
	}
	if cfg.KeepDeleted == 0 {
		cfg.KeepDeleted = 30 * 24 * time.Hour
	}
	m := mirror.New(cfg)
	t.Cleanup(m.Close)
	return replica{Mirror: m}
}

// readOnly is a store that fails writes as long as fail returns an error for their keys.
type readOnly struct {
	backend.Store
	mu    sync.Mutex
	fail  func(ctx context.Context, key string) error // nil: no write fails
	tries map[string]int                              // writes, by the part of the key behind the realm
}

func (s *readOnly) set(fail func(ctx context.Context, key string) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail, s.tries = fail, map[string]int{}
}

func (s *readOnly) tried(part string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tries[part]
}

func (s *readOnly) Put(ctx context.Context, key string, body io.Reader, size int64, o backend.PutOptions) (backend.Object, error) {
	s.mu.Lock()
	fail := s.fail
	if fail != nil {
		s.tries[strings.Split(key, "/")[1]]++
	}
	s.mu.Unlock()
	if fail != nil {
		if err := fail(ctx, key); err != nil {
			return backend.Object{}, err
		}
	}
	return s.Store.Put(ctx, key, body, size, o)
}
