package main_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/infra/testenv/lambda"
	"github.com/entrepot-io/entrepot/mirror/gc"
)

const dockerIndex = "application/vnd.docker.distribution.manifest.list.v2+json"

func TestFunctionRespondsLikeServerBehindEveryFront(t *testing.T) {
	t.Parallel()
	atOnce(t, 3, fronts, func(t *testing.T, o lambda.Options) {
		w := newCluster(t)
		image := w.upstream.Image(fillRepo, "1", 300_000)
		// JSON encoding must not change any of these bytes.
		body := []byte("{\"schemaVersion\":2,\"mediaType\":\"" + dockerIndex + "\",\"manifests\":[],\"annotations\":{\"a\":\"<&>\\u2028\u2028 \\\\ é😀\"}\t}\r\n")
		odd := w.upstream.Manifest(fillRepo, "odd", dockerIndex, body)
		f := w.function(t, o)

		resp, got := send(t, f, http.MethodGet, "/v2/")
		assert.Equal(t, http.StatusOK, resp.StatusCode)
		assert.Equal(t, "{}", got)
		assert.Equal(t, "registry/2.0", resp.Header.Get("Docker-Distribution-Api-Version"))

		resp, got = send(t, f, http.MethodGet, "/v2/library/app/manifests/odd?ns=docker%2Eio",
			"Accept", dockerIndex, "Accept", "application/vnd.oci.image.index.v1+json", "Cookie", "a=b; c=d")
		assert.Equal(t, http.StatusOK, resp.StatusCode)
		assert.Equal(t, string(body), got)
		assert.Equal(t, dockerIndex, resp.Header.Get("Content-Type"))
		assert.Equal(t, odd.Digest.String(), resp.Header.Get("Docker-Content-Digest"))
		assert.Equal(t, "docker.io", resp.Header.Get("OCI-Namespace"), "ns was read")

		resp, got = send(t, f, http.MethodHead, "/v2/library/app/manifests/"+image.Digest.String())
		assert.Equal(t, http.StatusOK, resp.StatusCode)
		assert.Empty(t, got)
		assert.EqualValues(t, len(image.Body), resp.ContentLength)
		resp, _ = send(t, f, http.MethodGet, "/v2/library/app/manifests/"+image.Digest.String(), "If-None-Match", `"`+image.Digest.String()+`"`)
		assert.Equal(t, http.StatusNotModified, resp.StatusCode)

		resp, got = send(t, f, http.MethodGet, "/v2/library/app/manifests/none")
		assert.Equal(t, http.StatusNotFound, resp.StatusCode)
		assert.Contains(t, got, `"code":"MANIFEST_UNKNOWN"`)
		resp, got = send(t, f, http.MethodPut, "/v2/library/app/manifests/1", "Content-Type", "application/octet-stream")
		assert.Equal(t, http.StatusMethodNotAllowed, resp.StatusCode)
		assert.Contains(t, got, `"code":"UNSUPPORTED"`)

		resp, got = send(t, f, http.MethodGet, "/v2/library/app/tags/list?n=1&last=0%2D")
		assert.Equal(t, http.StatusOK, resp.StatusCode)
		assert.JSONEq(t, `{"name":"library/app","tags":["1"]}`, got)
		assert.Contains(t, resp.Header.Get("Link"), `last=1`)

		layer := image.Layers[0].Digest
		for _, path := range []string{"/v2/library/app/blobs/" + layer.String(), "/v2/library/app/blobs/" + strings.Replace(layer.String(), ":", "%3A", 1)} {
			p := follow(f, path)
			require.NoError(t, p.err)
			assert.Equal(t, layer.String(), p.sum)
		}
		resp, _ = send(t, f, http.MethodHead, "/v2/library/app/blobs/"+layer.String())
		assert.Equal(t, http.StatusOK, resp.StatusCode)
		assert.EqualValues(t, 300_000, resp.ContentLength)

		for line := range strings.Lines(f.Output()) {
			var request struct{ Msg, Client string }
			if json.Unmarshal([]byte(line), &request) == nil && request.Msg == "request" {
				assert.Equal(t, "127.0.0.1", request.Client, line)
			}
		}
		count := f.Counts()
		assert.Zero(t, count.Failed+count.Refused+count.TimedOut, "%+v", count)
	})
}

func TestFunctionDeniesBlobsToClientsNotRedirected(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		env     string
		forward string // X-Forwarded-For of the request
		status  int
	}{
		"client is redirected":               {"ENTREPOT_REDIRECT=127.0.0.0/8", "", http.StatusTemporaryRedirect},
		"other network":                      {"ENTREPOT_REDIRECT=192.0.2.0/24", "", http.StatusForbidden},
		"forged X-Forwarded-For":             {"ENTREPOT_REDIRECT=192.0.2.0/24", "192.0.2.7", http.StatusForbidden},
		"User-Agent in STREAM_TO":            {"ENTREPOT_STREAM_TO=Go-http-client", "", http.StatusForbidden},
		"X-Forwarded-For of trusted proxies": {"ENTREPOT_REDIRECT=192.0.2.0/24", "192.0.2.7", http.StatusTemporaryRedirect},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newCluster(t)
			blob := w.blob(1, 100_000)
			env := []string{test.env}
			if strings.Contains(name, "proxies") {
				env = append(env, "ENTREPOT_TRUSTED_PROXIES=127.0.0.1")
			}
			for _, front := range []lambda.Front{lambda.FunctionURL, lambda.LoadBalancer} {
				f := w.function(t, lambda.Options{Front: front}, env...)
				var header []string
				if test.forward != "" {
					header = []string{"X-Forwarded-For", test.forward}
				}
				for range 2 { // cold, then warm if the client is redirected
					resp, body := send(t, f, http.MethodGet, blob.path(), header...)
					require.Equal(t, test.status, resp.StatusCode, "%s: %s", front, body)
					if test.status == http.StatusForbidden {
						assert.Contains(t, body, `"code":"DENIED"`)
						assert.Contains(t, body, "ENTREPOT_REDIRECT")
					}
				}
			}
		})
	}
}

func TestFunctionResponsesFitPlatformLimits(t *testing.T) {
	t.Parallel()
	w := newCluster(t)
	manifest := func(size int) (digest.Digest, []byte) {
		body := fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"manifests":[],"annotations":{"size":"%d","filler":"`, dockerIndex, size)
		body = append(body, strings.Repeat("\\\"", (size-len(body)-3)/2)...) // each byte becomes two in JSON
		body = append(body, `"}}`...)
		return w.upstream.Manifest(fillRepo, "", dockerIndex, body).Digest, body
	}
	check := func(f *lambda.Function, size int, redirected bool) {
		t.Helper()
		d, body := manifest(size)
		path := "/v2/library/app/manifests/" + d.String()
		resp, got := send(t, f, http.MethodGet, path)
		assert.Equal(t, d.String(), resp.Header.Get("Docker-Content-Digest"))
		if !redirected {
			assert.Equal(t, http.StatusOK, resp.StatusCode)
		} else if assert.Equal(t, http.StatusTemporaryRedirect, resp.StatusCode, "%.200s", got) {
			at, err := http.Get(resp.Header.Get("Location"))
			require.NoError(t, err)
			defer at.Body.Close()
			assert.Equal(t, d.String(), digestOfReader(t, at.Body))
			assert.Equal(t, dockerIndex, at.Header.Get("Content-Type"))
			assert.EqualValues(t, len(body), at.ContentLength)
		}
		if !redirected {
			assert.Equal(t, d.String(), digestOf([]byte(got)))
		}
		resp, _ = send(t, f, http.MethodHead, path)
		assert.Equal(t, http.StatusOK, resp.StatusCode)
		assert.EqualValues(t, len(body), resp.ContentLength)
	}
	url := w.function(t, lambda.Options{Front: lambda.FunctionURL})
	check(url, 4_500_000, false)
	check(url, 6_000_000, true)
	streaming := w.function(t, lambda.Options{Front: lambda.StreamingURL}, "ENTREPOT_LAMBDA_STREAMING=true")
	check(streaming, 4_400_000, false)
	balancer := w.function(t, lambda.Options{Front: lambda.LoadBalancer})
	check(balancer, 700_000, false)
	check(balancer, 1_000_000, true)

	for i := range 9000 {
		w.upstream.Manifest(fillRepo, fmt.Sprintf("%s-%04d", strings.Repeat("t", 100), i), dockerIndex, []byte(`{}`))
	}
	resp, got := send(t, balancer, http.MethodGet, "/v2/library/app/tags/list")
	assert.Equal(t, http.StatusOK, resp.StatusCode)
	assert.Less(t, len(got), 1<<20)
	assert.Contains(t, resp.Header.Get("Link"), `rel="next"`, "a page that fits")
	resp, _ = send(t, balancer, http.MethodGet, "/v2/library/app/tags/list?n=1000")
	assert.Equal(t, http.StatusOK, resp.StatusCode)
	for _, f := range []*lambda.Function{url, streaming, balancer} {
		assert.Zero(t, f.Counts().Refused)
	}
}

func TestFunctionRejectsUnknownEvents(t *testing.T) {
	t.Parallel()
	w := newCluster(t)
	f := w.function(t, lambda.Options{})
	for _, event := range []string{`{"Records":[{"eventSource":"aws:s3","s3":{}}]}`, `"hello"`, `[]`, `{}`, `{"requestContext":{"http":{}},"rawPath":7}`} {
		_, err := f.Invoke([]byte(event))
		failed := new(lambda.FunctionError)
		require.ErrorAs(t, err, &failed, event)
		assert.Contains(t, failed.Message, "event", event)
	}
	response, err := f.Invoke([]byte(`{"version":"0","id":"1","detail-type":"Scheduled Event","source":"aws.events","account":"1","time":"2026-11-24T00:00:00Z","region":"eu-central-1","resources":[],"detail":{}}`))
	require.NoError(t, err)
	assert.Contains(t, string(response.JSON), "on a schedule")
	for path, status := range map[string]string{"/healthz": "200 OK", "/readyz": "200 OK", "/nothing": "404 Not Found"} {
		response, err := f.Invoke(lambda.HealthCheck(path))
		require.NoError(t, err)
		assert.Contains(t, string(response.JSON), `"statusDescription":"`+status+`"`, path)
	}
	assert.Zero(t, f.Counts().TimedOut, "the process keeps running")
}

func TestFunctionCollectsGarbage(t *testing.T) {
	t.Parallel()
	w := newCluster(t)
	w.store = append(w.store, noUse, "ENTREPOT_MAX_SIZE=1B")
	image := w.upstream.Image("library/app", "1", 1000)
	w.start(t).pull(t, "library/app", "1", image)
	waitFor(t, "the image is stored", func() bool { return w.usage(t).Fills.Objects == 0 })
	f := w.function(t, lambda.Options{})
	response, err := f.Invoke([]byte(`{"command":"gc"}`))
	require.NoError(t, err)
	var report gc.Report
	require.NoError(t, json.Unmarshal(response.JSON, &report), "%s", response.JSON)
	assert.EqualValues(t, 3, report.Marked.Objects)
	assert.Len(t, w.bucket.keys(t, "public/marks/"), 3)
	_, err = f.Invoke([]byte(`{"command":"reset"}`))
	require.ErrorContains(t, err, "write gc")
}

func TestFunctionReportsStartError(t *testing.T) {
	t.Parallel()
	for variable, env := range map[string][]string{
		"ENTREPOT_STORE": nil,
		"ENTREPOT_MISS":  {"ENTREPOT_STORE=s3://bucket", "AWS_REGION=eu-central-1", "ENTREPOT_MISS=stream"},
	} {
		w := newCluster(t)
		w.store = env
		f := w.function(t, lambda.Options{})
		_, err := f.Invoke(lambda.HealthCheck("/healthz"))
		require.ErrorIs(t, err, lambda.ErrExited)
		assert.ErrorContains(t, err, variable, "error reported to Lambda")
		assert.Contains(t, f.Output(), variable)
	}
}
