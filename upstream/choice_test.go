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

// hosts are endpoints that answer requests for blobs with so many bytes each, or with an error.
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

// choices are those between endpoints a, b and c.
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

// open returns a part, and the hosts that were asked for it.
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

func (c choices) asks(t *testing.T, b *upstream.Blob, want, why string) *upstream.Part {
	t.Helper()
	part, asked := c.open(t, b)
	assert.Equal(t, want, asked, why)
	return part
}

func TestRejectedBytesAreAskedForElsewhere(t *testing.T) {
	c := newChoices(t, "a", "b", "c")
	blob := c.blob()
	c.asks(t, blob, "a", "in order")
	require.True(t, blob.Reject())
	c.asks(t, blob, "b", "a is known to be wrong")
	c.asks(t, c.blob(), "b", "for others, too")
	c.asks(t, c.registry.Blob(c.repo, digest.FromString("y")), "a", "of this blob alone")
	require.True(t, blob.Reject())
	c.asks(t, blob, "c", "")
	require.False(t, blob.Reject(), "nobody is left")
	c.asks(t, c.blob(), "c", "with all doubted, one alone serves the blob")
	c.sizes["c"] = 0
	_, err := c.blob().Open(t.Context(), 0, 10)
	require.Error(t, err)
}

func TestWithOneEndpointNothingElseIsAsked(t *testing.T) {
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

// It is not known whose bytes were wrong if they came from several endpoints.
func TestAMixtureIsTakenApart(t *testing.T) {
	c := newChoices(t, "a", "b")
	blob := c.blob()
	c.asks(t, blob, "a", "")
	c.sizes["a"] = 0
	c.asks(t, blob, "a b", "a has failed")
	c.sizes["a"] = 100
	require.True(t, blob.Reject())
	c.asks(t, blob, "b", "the origin alone")
	require.True(t, blob.Reject(), "it was b, so a may be right")
	c.asks(t, blob, "a", "alone")
	require.False(t, blob.Reject())
}

func TestADoubtEnds(t *testing.T) {
	c := newChoices(t, "a", "b")
	synctest.Test(t, func(t *testing.T) {
		blob := c.blob()
		c.asks(t, blob, "a", "")
		require.True(t, blob.Reject())
		time.Sleep(9 * time.Minute)
		c.asks(t, c.blob(), "b", "")
		time.Sleep(2 * time.Minute)
		c.asks(t, c.blob(), "a", "it may be mended")
		c.asks(t, blob, "b", "but nobody asks twice for one request")
	})
}

func TestDoubtsAreToldToOtherProcesses(t *testing.T) {
	one, other := newChoices(t, "a", "b"), newChoices(t, "a", "b")
	blob := one.blob()
	one.asks(t, blob, "a", "")
	require.True(t, blob.Reject())
	names := blob.Doubted()
	require.Len(t, names, 1)
	assert.NotContains(t, names[0], "a.", "a URL may have a secret")
	theirs := other.blob()
	theirs.DoubtAlso(append(names, "unknown", ""))
	other.asks(t, theirs, "b", "")
}

func TestAPartThatBreaksIsAskedForElsewhere(t *testing.T) {
	c := newChoices(t, "a", "b")
	blob := c.blob()
	part := c.asks(t, blob, "a", "")
	assert.True(t, blob.Doubt(part))
	part = c.asks(t, blob, "b", "")
	assert.True(t, blob.Doubt(part))
	c.asks(t, blob, "a", "it may do better now than b")
	c.asks(t, c.blob(), "a", "others may have more luck")
	assert.False(t, blob.Doubt(new(upstream.Part)), "it is nobody's")
}

func TestASizeThatAManifestTells(t *testing.T) {
	c := newChoices(t, "a", "b", "c")
	size := func(told int64) int64 {
		size, err := c.blob().WithSize(told).Size(t.Context())
		require.NoError(t, err)
		return size
	}
	c.sizes = map[string]int{"a": 101, "b": 102, "c": 103}
	blob := c.blob().WithSize(102)
	c.asks(t, blob, "a b", "the one that fits")
	c.asks(t, blob, "b", "and no other from then on")
	assert.EqualValues(t, 102, size(102))
	assert.EqualValues(t, 103, size(200), "the origin, if none fits")
	c.sizes["c"] = 0
	assert.EqualValues(t, 101, size(200), "the first, if the origin lacks it: what a manifest tells may be wrong")
	c.asks(t, c.blob().WithSize(200), "a b c a", "")
	assert.EqualValues(t, 101, size(0))

	// A size that is known only when the body has come.
	c.sizes = map[string]int{"a": 100, "b": 100, "c": 100}
	blob = c.blob().WithSize(100)
	part := c.asks(t, blob, "a", "")
	assert.True(t, blob.Fits(part, 100))
	assert.False(t, blob.Fits(part, 7))
	part = c.asks(t, blob, "b", "")
	assert.False(t, blob.Fits(part, 7))
	part = c.asks(t, blob, "c", "")
	assert.True(t, blob.Fits(part, 7), "nobody is left who may know better")
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
