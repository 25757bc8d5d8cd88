package handlers_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/handlers"
	"github.com/entrepot-io/entrepot/mirror"
	"github.com/entrepot-io/entrepot/upstream/upstreamtest"
)

const (
	// hopWithin is the deadline of a request, so that it does not wait 18 s. The last second is reserved for the response.
	hopWithin = 1200 * time.Millisecond
	bucketURL = "http://bucket.example/"
)

// hopWorld is an upstream that sends no bytes of its blob until let is called, and a front whose clients wait for the blob.
type hopWorld struct {
	front
	reg   *upstreamtest.Registry
	blob  digest.Digest
	path  string
	let   func()
	where string // the blob's URL in the bucket
}

func newHopWorld(t *testing.T, size int64, api handlers.Config) hopWorld {
	t.Helper()
	return newHopWorldWithin(t, size, api, hopWithin)
}

func newHopWorldWithin(t *testing.T, size int64, api handlers.Config, within time.Duration) hopWorld {
	t.Helper()
	reg := upstreamtest.Start(t, upstreamtest.Options{})
	d := reg.Blob("library/app", upstreamtest.Random(1, size))
	until := make(chan struct{})
	let := func() {
		select {
		case <-until:
		default:
			close(until)
		}
	}
	t.Cleanup(let)
	reg.Faults.Set(upstreamtest.Fault{Kind: upstreamtest.BlobGet, Damage: upstreamtest.Stall, Until: until})
	base, err := url.Parse(reg.URL())
	require.NoError(t, err)
	api.Miss = handlers.MissRedirect
	f := serveAs(t, base, signing{newFileStore(t), fixedURL(bucketURL)}, mirror.Config{}, api, within)
	return hopWorld{f, reg, d, "/v2/app/blobs/" + d.String(), let, bucketURL + "public/blobs/sha256/" + d.Encoded()}
}

// mustHop checks that a response redirects to the requested URL with a counter. It returns the path and query of the
// redirect.
func (a answer) mustHop(t *testing.T, hops int) string {
	t.Helper()
	require.Equal(t, http.StatusTemporaryRedirect, a.StatusCode, "%s", a.body)
	next, err := a.Location()
	require.NoError(t, err)
	require.Equal(t, a.Request.URL.Path, next.Path)
	require.Equal(t, a.Request.URL.Host, next.Host)
	require.Equal(t, fmt.Sprint(hops), next.Query().Get("hop"))
	assert.Equal(t, "no-store", a.Header.Get("Cache-Control"))
	return next.RequestURI()
}

func TestColdBlobRedirectsByHopsThenToBucket(t *testing.T) {
	for name, size := range map[string]int64{"tiny": 100, "of one segment": 100_000, "of several segments": 11 << 20} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newHopWorld(t, size, handlers.Config{})
			path := w.path
			for hops := range 3 {
				path = w.get(t, path).mustHop(t, hops+1)
			}
			w.let()
			require.Eventually(t, func() bool { return w.core.FillCount() == 0 }, 10*time.Second, time.Millisecond)
			a := w.get(t, path)
			assert.Equal(t, http.StatusTemporaryRedirect, a.StatusCode)
			assert.Equal(t, w.where, a.Header.Get("Location"))
			assert.Equal(t, w.blob.String(), a.Header.Get("Docker-Content-Digest"))
			assert.Equal(t, size, w.reg.Counts().BlobBytes, "all requests share one fill")
		})
	}
}

func TestWaitEndsWhenBlobIsStored(t *testing.T) {
	w := newHopWorldWithin(t, 11<<20, handlers.Config{}, time.Minute)
	time.AfterFunc(100*time.Millisecond, w.let)
	a := w.get(t, w.path)
	assert.Equal(t, w.where, a.Header.Get("Location"))
}

func TestHopKeepsQuery(t *testing.T) {
	w := newHopWorld(t, 100, handlers.Config{})
	for query, want := range map[string]string{
		"":                                "?hop=1",
		"?ns=docker.io":                   "?ns=docker.io&hop=1",
		"?hop=3&ns=docker.io":             "?ns=docker.io&hop=4",
		"?ns=docker.io&hop=7":             "?ns=docker.io&hop=8",
		"?ns=docker.io&x=%2f+%20;&x=&y&z": "?ns=docker.io&x=%2f+%20;&x=&y&z&hop=1",
		"?hop=2&hop=1&hops=9":             "?hops=9&hop=2",
		// Invalid counters.
		"?hop=":    "?hop=1",
		"?hop":     "?hop=1",
		"?hop=x":   "?hop=1",
		"?hop=-5":  "?hop=1",
		"?hop=1.5": "?hop=1",
	} {
		t.Run(query, func(t *testing.T) {
			t.Parallel()
			location := w.get(t, w.path+query).Header.Get("Location")
			assert.Equal(t, "./"+w.blob.String()+want, location)
		})
	}
}

func TestRetryAfterOnceHopsAreUsedUp(t *testing.T) {
	w := newHopWorld(t, 11<<20, handlers.Config{})
	for _, hops := range []string{"8", "9", "65536", "99999999999999999999999"} {
		t.Run(hops, func(t *testing.T) {
			t.Parallel()
			a := w.get(t, w.path+"?hop="+hops)
			assert.Equal(t, http.StatusServiceUnavailable, a.StatusCode)
			assert.Equal(t, "UNAVAILABLE", a.code(t))
			assert.Equal(t, "10", a.Header.Get("Retry-After"))
			assert.Empty(t, a.Header.Get("Location"))
		})
	}
}

func TestFailureEndsWaitAtOnce(t *testing.T) {
	for name, c := range map[string]struct {
		size   int64
		fault  upstreamtest.Fault
		status int
		code   string
	}{
		"missing":     {100_000, upstreamtest.Fault{Status: 404}, 404, "BLOB_UNKNOWN"},
		"denied":      {100_000, upstreamtest.Fault{Status: 403}, 403, "DENIED"},
		"too many":    {100_000, upstreamtest.Fault{Status: 429}, 429, "TOOMANYREQUESTS"},
		"bad":         {11 << 20, upstreamtest.Fault{Damage: upstreamtest.Corrupt, At: 5}, 502, "UNAVAILABLE"},
		"bad, tiny":   {100, upstreamtest.Fault{Damage: upstreamtest.Corrupt, At: 5}, 502, "UNAVAILABLE"},
		"bad, padded": {100_000, upstreamtest.Fault{Damage: upstreamtest.Pad, At: 5}, 502, "UNAVAILABLE"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newHopWorldWithin(t, c.size, handlers.Config{}, time.Minute)
			w.reg.Faults.Set(c.fault)
			for _, path := range []string{w.path, w.path + "?hop=4"} {
				a := w.get(t, path)
				assert.Equal(t, c.status, a.StatusCode)
				assert.Equal(t, c.code, a.code(t))
			}
		})
	}
}

func TestNoWaitIfNoBytesAreNeeded(t *testing.T) {
	const size = 11 << 20
	w := newHopWorldWithin(t, size, handlers.Config{}, time.Minute)
	head := w.do(t, http.MethodHead, w.path)
	assert.Equal(t, http.StatusOK, head.StatusCode)
	assert.EqualValues(t, size, head.ContentLength)
	assert.Zero(t, w.core.FillCount(), "HEAD starts no fill")

	beyond := w.get(t, w.path, "Range", "bytes=11534336-")
	assert.Equal(t, http.StatusRequestedRangeNotSatisfiable, beyond.StatusCode)
	assert.Equal(t, "bytes */11534336", beyond.Header.Get("Content-Range"))
	assert.Equal(t, "RANGE_INVALID", beyond.code(t))

	known := w.get(t, w.path, "If-None-Match", `"`+w.blob.String()+`"`)
	assert.Equal(t, http.StatusNotModified, known.StatusCode)
}

func TestRangeOfColdBlobWaits(t *testing.T) {
	w := newHopWorld(t, 11<<20, handlers.Config{})
	next := w.get(t, w.path, "Range", "bytes=1000-").mustHop(t, 1)
	w.let()
	require.Eventually(t, func() bool { return w.core.FillCount() == 0 }, 10*time.Second, time.Millisecond)
	assert.Equal(t, w.where, w.get(t, next, "Range", "bytes=1000-").Header.Get("Location"), "the bucket serves the range")
}

func TestClientsNotRedirectedGetBytes(t *testing.T) {
	var elsewhere handlers.Redirect
	require.NoError(t, elsewhere.UnmarshalText([]byte("10.0.0.0/8")))
	w := newHopWorldWithin(t, 11<<20, handlers.Config{Redirect: elsewhere}, time.Minute)
	time.AfterFunc(100*time.Millisecond, w.let)
	a := w.get(t, w.path)
	assert.Equal(t, http.StatusOK, a.StatusCode)
	assert.Equal(t, w.blob, digest.FromBytes(a.body))
}

func TestShutdownEndsWaits(t *testing.T) {
	stopping, stop := context.WithCancel(t.Context())
	w := newHopWorldWithin(t, 11<<20, handlers.Config{Stopping: stopping}, time.Minute)
	time.AfterFunc(100*time.Millisecond, stop)
	w.get(t, w.path).mustHop(t, 1)
}

func TestHandedOverFillContinuesByHop(t *testing.T) {
	w := newHopWorldWithin(t, 11<<20, handlers.Config{}, time.Minute)
	go func() {
		assert.Eventually(t, func() bool { return w.core.FillCount() == 1 }, 10*time.Second, time.Millisecond)
		w.core.Close()
	}()
	next := w.get(t, w.path).mustHop(t, 1)
	w.get(t, next).mustHop(t, 2)
}

func TestShortDeadlineHopsAtOnce(t *testing.T) {
	w := newHopWorldWithin(t, 11<<20, handlers.Config{}, 900*time.Millisecond)
	w.get(t, w.path).mustHop(t, 1)
	assert.Equal(t, 1, w.core.FillCount(), "the fill has started")
}

func TestInvalidMissSettingRejected(t *testing.T) {
	for _, s := range []string{"", "wait", "Redirect", "stream,redirect"} {
		assert.ErrorContains(t, new(handlers.Miss).UnmarshalText([]byte(s)), "write stream or redirect", s)
	}
}
