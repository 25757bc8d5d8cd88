package main_test

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/infra/testenv"
	"github.com/entrepot-io/entrepot/upstream/upstreamtest"
)

// withFolder returns a cluster on a folder, with an upstream of the test's own.
func withFolder(t *testing.T, o upstreamtest.Options) *cluster {
	t.Helper()
	w := &cluster{
		upstream: upstreamtest.Start(t, o),
		store:    []string{"ENTREPOT_STORE=file:" + t.TempDir()},
		program:  testenv.Program(t),
	}
	w.upstream.Image("library/app", "1", 100_000)
	return w
}

func TestDoctorFindsWhatIsWrongWithAnUpstream(t *testing.T) {
	t.Parallel()
	w := withFolder(t, upstreamtest.Options{Auth: true, CDN: true})
	for name, c := range map[string]struct {
		fault                      upstreamtest.Fault
		check, result, detail, env string
	}{
		"ranges ignored":    {fault: upstreamtest.Fault{Kind: upstreamtest.CDNGet, IgnoreRange: true}, check: "Range", result: "warning", detail: "ignores ranges"},
		"wrong ranges":      {fault: upstreamtest.Fault{Kind: upstreamtest.CDNGet, ShiftRange: 1}, check: "Range", result: "warning", detail: "not the requested range"},
		"no blobs":          {fault: upstreamtest.Fault{Kind: upstreamtest.CDNGet, Status: 403}, check: "blob", result: "broken", detail: "403"},
		"no HEAD":           {fault: upstreamtest.Fault{Kind: upstreamtest.ManifestHead, Header: http.Header{"Docker-Content-Digest": nil}}, check: "HEAD", result: "warning", detail: "no 200 with a digest"},
		"no GET":            {fault: upstreamtest.Fault{Kind: upstreamtest.ManifestGet, HTML: true}, check: "GET", result: "broken", detail: "not JSON"},
		"throttled":         {fault: upstreamtest.Fault{Kind: upstreamtest.ManifestHead, Status: 429}, check: "HEAD", result: "broken", detail: "larger quota"},
		"HEAD denied":       {fault: upstreamtest.Fault{Kind: upstreamtest.ManifestHead, Status: 403}, check: "HEAD", result: "warning", detail: "no 200"},
		"denied":            {fault: upstreamtest.Fault{Kind: upstreamtest.ManifestGet, Status: 403}, check: "GET", result: "broken", detail: "correct the credentials"},
		"no tokens":         {fault: upstreamtest.Fault{Kind: upstreamtest.Token, Status: 403}, check: "token", result: "broken", detail: "the token service"},
		"TLS without TLS":   {check: "TLS", result: "broken", detail: "write http://", env: "docker.io=https://" + w.upstream.Host()},
		"unknown name":      {check: "DNS", result: "broken", detail: "no such host", env: "docker.io=https://registry.invalid"},
		"one of two is bad": {check: "DNS", result: "warning", detail: "no such host", env: "docker.io=https://registry.invalid|" + w.upstream.URL()},
		"no known image":    {check: "HEAD", result: "warning", detail: "--image", env: "corp=" + w.upstream.URL()},
	} {
		t.Run(name, func(t *testing.T) {
			w.upstream.Faults.Clear()
			var env []string
			if c.env != "" {
				env = append(env, "ENTREPOT_UPSTREAMS="+c.env)
			} else {
				w.upstream.Faults.Set(c.fault)
			}
			all := w.examine(t, env)
			all.has(t, c.check, c.result, c.detail)
			assert.Equal(t, c.result == "broken", all.Broken > 0, "%+v", all)
		})
	}
	w.upstream.Stop()
	w.examine(t, nil).has(t, "connection", "broken", "connection refused")
}

func TestDoctorShowsTheQuotaThatIsLeft(t *testing.T) {
	t.Parallel()
	w := withFolder(t, upstreamtest.Options{RateLimit: 20})
	w.examine(t, nil).has(t, "quota", "ok", "20 of 20 pulls are left")
	w.examine(t, []string{"ENTREPOT_QUOTA_RESERVE=99%"}).has(t, "quota", "warning", "19 of 20 pulls are left")
}

func TestDoctorGoesThroughTheProxy(t *testing.T) {
	t.Parallel()
	w := withFolder(t, upstreamtest.Options{})
	target, err := url.Parse(w.upstream.URL())
	require.NoError(t, err)
	proxy := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }})
	t.Cleanup(proxy.Close)
	upstreams := "ENTREPOT_UPSTREAMS=docker.io=http://registry.example"
	all := w.examine(t, []string{upstreams, "HTTP_PROXY=" + proxy.URL})
	all.has(t, "HTTP proxy", "ok", proxy.Listener.Addr().String())
	all.has(t, "HEAD", "ok", "")
	all.has(t, "Range", "ok", "")
	w.examine(t, []string{upstreams, "HTTP_PROXY=http://" + testenv.FreeAddr(t, "127.0.0.1")}).has(t, "HTTP proxy", "broken", "NO_PROXY")
}
