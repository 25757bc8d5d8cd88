package upstream_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/upstream"
)

// hosts is a transport to endpoints. Each serves a blob of its own size, or answers 404.
type hosts struct {
	mu    sync.Mutex
	sizes map[string]int // by host; below 100: 404
	asked []string
}

func (h *hosts) RoundTrip(req *http.Request) (*http.Response, error) {
	resp := &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: http.NoBody, Request: req}
	if !strings.Contains(req.URL.Path, "/blobs/") {
		return resp, nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.asked = append(h.asked, req.URL.Host)
	size := h.sizes[req.URL.Host]
	if size < 100 {
		resp.StatusCode = http.StatusNotFound
		return resp, nil
	}
	resp.StatusCode, resp.ContentLength = http.StatusPartialContent, 10
	resp.Header.Set("Content-Range", fmt.Sprintf("bytes 0-9/%d", size))
	resp.Body = io.NopCloser(strings.NewReader("0123456789"))
	return resp, nil
}

// choices is an upstream with several endpoints.
type choices struct {
	*hosts
	registry *upstream.Registry
	repo     upstream.Repository
}

func newChoices(t *testing.T, names ...string) choices {
	t.Helper()
	c := choices{hosts: &hosts{sizes: map[string]int{}}, repo: repository(t, "app")}
	cfg := upstream.Config{Name: "docker.io", Transport: c.hosts}
	for _, name := range names {
		c.sizes[name] = 100
		cfg.Endpoints = append(cfg.Endpoints, &url.URL{Scheme: "http", Host: name})
	}
	var err error
	c.registry, err = upstream.New(cfg)
	require.NoError(t, err)
	return c
}

func (c choices) blob() *upstream.Blob { return c.registry.Blob(c.repo, digest.FromString("x")) }

// open returns a part and the hosts that received the requests for it.
func (c choices) open(t *testing.T, b *upstream.Blob) (*upstream.Part, string) {
	t.Helper()
	c.mu.Lock()
	c.asked = nil
	c.mu.Unlock()
	part, err := b.Open(context.Background(), 0, 10)
	require.NoError(t, err)
	part.Body.Close()
	return part, strings.Join(c.asked, " ")
}

// asks checks which hosts receive the requests for a part.
func (c choices) asks(t *testing.T, b *upstream.Blob, want, why string) *upstream.Part {
	t.Helper()
	part, asked := c.open(t, b)
	assert.Equal(t, want, asked, why)
	return part
}

func TestRejectedBlobComesFromNextEndpoint(t *testing.T) {
	c := newChoices(t, "a", "b", "c")
	blob := c.blob()
	c.asks(t, blob, "a", "in order")
	require.True(t, blob.Reject())
	c.asks(t, blob, "b", "a is known to be wrong")
	c.asks(t, c.blob(), "b", "other requests for the blob avoid a too")
	c.asks(t, c.registry.Blob(c.repo, digest.FromString("y")), "a", "other blobs still come from a")
	require.True(t, blob.Reject())
	c.asks(t, blob, "c", "")
	require.False(t, blob.Reject(), "no endpoint is left")
	c.asks(t, c.blob(), "c", "if all are doubted, only one serves the blob")
	c.sizes["c"] = 0
	_, err := c.blob().Open(t.Context(), 0, 10)
	require.Error(t, err)
}

func TestOnlyEndpointIsNeverDoubted(t *testing.T) {
	c := newChoices(t, "a")
	blob := c.blob()
	part := c.asks(t, blob, "a", "")
	assert.False(t, blob.Doubt(part))
	c.asks(t, blob, "a", "")
	assert.False(t, blob.Reject())
	c.asks(t, blob, "a", "")
	assert.Empty(t, blob.Doubted())
	assert.True(t, blob.Fits(part, 7))
	assert.False(t, blob.HasOthers())
}

// If the bytes came from several endpoints, any of them may have sent the wrong ones.
func TestMixedBlobIsRetriedPerEndpoint(t *testing.T) {
	c := newChoices(t, "a", "b")
	blob := c.blob()
	c.asks(t, blob, "a", "")
	c.sizes["a"] = 0
	c.asks(t, blob, "a b", "a has failed")
	c.sizes["a"] = 100
	require.True(t, blob.Reject())
	c.asks(t, blob, "b", "only the origin")
	require.True(t, blob.Reject(), "b alone was wrong, so a may be right")
	c.asks(t, blob, "a", "only a")
	require.False(t, blob.Reject())
}

func TestDoubtExpires(t *testing.T) {
	c := newChoices(t, "a", "b")
	synctest.Test(t, func(t *testing.T) {
		blob := c.blob()
		c.asks(t, blob, "a", "")
		require.True(t, blob.Reject())
		time.Sleep(9 * time.Minute)
		c.asks(t, c.blob(), "b", "")
		time.Sleep(2 * time.Minute)
		c.asks(t, c.blob(), "a", "a may be repaired by now")
		c.asks(t, blob, "b", "a request that rejected a never returns to it")
	})
}

func TestDoubtsPassToOtherProcesses(t *testing.T) {
	one, other := newChoices(t, "a", "b"), newChoices(t, "a", "b")
	blob := one.blob()
	one.asks(t, blob, "a", "")
	require.True(t, blob.Reject())
	names := blob.Doubted()
	require.Len(t, names, 1)
	assert.NotContains(t, names[0], "a.", "a URL may contain a secret")
	theirs := other.blob()
	theirs.DoubtAlso(append(names, "unknown", ""))
	other.asks(t, theirs, "b", "")
}

func TestBrokenPartComesFromNextEndpoint(t *testing.T) {
	c := newChoices(t, "a", "b")
	blob := c.blob()
	part := c.asks(t, blob, "a", "")
	assert.True(t, blob.Doubt(part))
	part = c.asks(t, blob, "b", "")
	assert.True(t, blob.Doubt(part))
	c.asks(t, blob, "a", "a may now do better than b")
	c.asks(t, c.blob(), "a", "other requests still start with a")
	assert.False(t, blob.Doubt(new(upstream.Part)), "the part came from no endpoint")
}

func TestManifestsSizeChoosesEndpoint(t *testing.T) {
	c := newChoices(t, "a", "b", "c")
	size := func(expected int64) int64 {
		size, err := c.blob().WithSize(expected).Size(t.Context())
		require.NoError(t, err)
		return size
	}
	c.sizes = map[string]int{"a": 101, "b": 102, "c": 103}
	blob := c.blob().WithSize(102)
	c.asks(t, blob, "a b", "b has the size")
	c.asks(t, blob, "b", "later parts come from b")
	assert.EqualValues(t, 102, size(102))
	assert.EqualValues(t, 103, size(200), "the origin, if none fits")
	c.sizes["c"] = 0
	assert.EqualValues(t, 101, size(200), "the first endpoint if the origin lacks the blob: the manifest may be wrong")
	c.asks(t, c.blob().WithSize(200), "a b c a", "")
	assert.EqualValues(t, 101, size(0))

	// The size is known only after the body.
	c.sizes = map[string]int{"a": 100, "b": 100, "c": 100}
	blob = c.blob().WithSize(100)
	part := c.asks(t, blob, "a", "")
	assert.True(t, blob.Fits(part, 100))
	assert.False(t, blob.Fits(part, 7))
	part = c.asks(t, blob, "b", "")
	assert.False(t, blob.Fits(part, 7))
	part = c.asks(t, blob, "c", "")
	assert.True(t, blob.Fits(part, 7), "no other endpoint is left")
	c.asks(t, blob, "a", "")
}

func TestDoubtsAreBounded(t *testing.T) {
	c := newChoices(t, "a", "b")
	for i := range 3000 {
		blob := c.registry.Blob(c.repo, digest.FromString(fmt.Sprint(i)))
		_, err := blob.Open(t.Context(), 0, 10)
		require.NoError(t, err)
		require.True(t, blob.Reject())
	}
	assert.LessOrEqual(t, upstream.Doubts(c.registry), 1000)
}
