package upstream_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"unicode"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/upstream/upstreamtest"
)

// assertBrief checks that an error is short and printable, in one line.
func assertBrief(t *testing.T, err error, about string) {
	t.Helper()
	require.Error(t, err, about)
	assert.Less(t, len(err.Error()), 1000, about)
	assert.False(t, strings.ContainsFunc(err.Error(), func(r rune) bool { return !unicode.IsPrint(r) }), "%s: %q", about, err)
}

func TestUpstreamErrorsAreShortAndPrintable(t *testing.T) {
	long := strings.Repeat("blah \x1b[31m\n\u202e\x00", 5000)
	words, err := json.Marshal(map[string]any{"errors": []map[string]string{{"code": long, "message": long}}})
	require.NoError(t, err)
	header := strings.Repeat("x", 50_000)
	for name, fault := range map[string]upstreamtest.Fault{
		"an error":              {Status: 404, Body: words},
		"a denial":              {Status: 403, Body: words},
		"a type":                {Body: []byte("x"), Header: http.Header{"Content-Type": {"text/" + header}}},
		"a range":               {Status: 206, Body: []byte("x"), Header: http.Header{"Content-Range": {header}}},
		"a host":                redirectTo("http://" + header + ".test/"),
		"a scheme":              redirectTo(header + "://x/"),
		"a port":                redirectTo("http://x:" + header + "/"),
		"an encoding":           {Body: []byte("{}"), Header: http.Header{"Content-Encoding": {header}}},
		"a realm":               {Status: 401, Header: http.Header{"Www-Authenticate": {`Bearer realm="http://` + header + `.test/"`}}},
		"a service":             {Status: 401, Header: http.Header{"Www-Authenticate": {`Bearer realm="http://x.test/",service="` + header + `"`}}},
		"more headers than fit": {Status: 404, Header: http.Header{"X-Long": {header, header, header, header}}},
		"an invalid header":     {Status: 404, Header: http.Header{"Content-Length": {header}}},
	} {
		t.Run(name, func(t *testing.T) {
			reg := upstreamtest.Start(t, upstreamtest.Options{})
			reg.Image("library/app", "1", 100)
			reg.Faults.Set(fault)
			r := connect(t, nil, reg.URL())
			_, err := r.GetManifest(t.Context(), repository(t, "app"), tag(t, "1"))
			assertBrief(t, err, "manifest")
			_, err = r.Tags(t.Context(), repository(t, "app"), nil)
			assertBrief(t, err, "tags")
			if _, err = r.Blob(repository(t, "app"), digest.FromString("y")).Open(t.Context(), 5, 9); err != nil {
				assertBrief(t, err, "blob")
			}
		})
	}
}

func TestErrorsKeepLittleMemory(t *testing.T) {
	reg := upstreamtest.Start(t, upstreamtest.Options{})
	reg.Image("library/app", "1", 100)
	words, err := json.Marshal(map[string]any{"errors": []map[string]string{{"code": "DENIED", "message": strings.Repeat("é", 30_000)}}})
	require.NoError(t, err)
	reg.Faults.Set(upstreamtest.Fault{Status: 404, Body: words})
	r := connect(t, nil, reg.URL())
	kept := make([]error, 200)
	before := heap()
	for i := range kept {
		_, kept[i] = r.GetManifest(t.Context(), repository(t, "app"), tag(t, "1"))
	}
	assert.Less(t, heap()-before, int64(2<<20))
	assert.True(t, strings.HasSuffix(failure(t, kept[0]).Message, "é…"))
	runtime.KeepAlive(kept)
}

func TestSignedURLsAreNotInErrors(t *testing.T) {
	const secret = "X-Amz-Signature=hunter2"
	for name, location := range map[string]string{
		"malformed":   "http://127.0.0.3:port/%zz?" + secret,
		"no host":     "http:///blob?" + secret,
		"a bad port":  "http://127.0.0.3:70000/?" + secret,
		"no server":   "http://127.0.0.3:1/?" + secret,
		"bad scheme":  "ftp://127.0.0.3/?" + secret,
		"no name":     "http://nowhere.invalid/?" + secret,
		"control":     "http://127.0.0.3/\x7f?" + secret,
		"user":        "http://" + secret + ":x@127.0.0.3:1/",
		"not allowed": "http://169.254.169.254/?" + secret,
	} {
		reg := upstreamtest.Start(t, upstreamtest.Options{})
		reg.Image("library/app", "1", 100)
		reg.Faults.Set(redirectTo(location))
		for kind, err := range everything(t, connect(t, nil, reg.URL())) {
			assertBrief(t, err, name+" "+kind)
			assert.NotContains(t, err.Error(), "hunter2", name)
		}
	}
}

func TestTokenCacheStaysWithinBudget(t *testing.T) {
	n := new(network)
	size := 60 << 10
	n.set(origin, func(req *http.Request) (*http.Response, error) {
		if strings.Contains(req.URL.Path, "token") {
			resp, err := answers(200)(req)
			resp.Body = io.NopCloser(strings.NewReader(`{"token":"` + strings.Repeat("x", size) + `"}`))
			return resp, err
		}
		return answers(401, `WWW-Authenticate: Bearer realm="/token"`)(req)
	})
	c := n.client(t, origin)
	assert.ErrorContains(t, c.get(), "without a usable token")

	size = 30 << 10
	before := heap()
	for i := range 800 {
		_, err := c.GetManifest(t.Context(), repository(t, fmt.Sprintf("team/app%d", i)), tag(t, "1"))
		require.Equal(t, 401, failure(t, err).Status)
	}
	assert.Less(t, heap()-before, int64(20<<20), "the tokens have 24 MiB in total")
	runtime.KeepAlive(c)
}

// heap returns the live bytes on the heap.
func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
