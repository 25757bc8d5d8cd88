package handlers_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/backend/fs"
	"github.com/entrepot-io/entrepot/bounded"
	"github.com/entrepot-io/entrepot/handlers"
	"github.com/entrepot-io/entrepot/mirror"
	"github.com/entrepot-io/entrepot/presign"
	"github.com/entrepot-io/entrepot/upstream"
	"github.com/entrepot-io/entrepot/upstream/upstreamtest"
)

// front is the API on a listening port.
type front struct {
	*httptest.Server
	core *mirror.Mirror
}

// signing is a store with presigned URLs that lead nowhere. Tests only see which clients get one.
type signing struct {
	*fs.Store
	backend.Presigner
}

func newFileStore(t *testing.T) *fs.Store {
	t.Helper()
	store, err := fs.Open(t.TempDir())
	require.NoError(t, err)
	return store
}

func serve(t *testing.T, reg *upstreamtest.Registry, store backend.Store, redirect string) front {
	t.Helper()
	base, err := url.Parse(reg.URL())
	require.NoError(t, err)
	return serveWith(t, base, store, redirect, mirror.Config{})
}

// serveWith is serve with more of the mirror's configuration.
func serveWith(t *testing.T, base *url.URL, store backend.Store, redirect string, cfg mirror.Config) front {
	t.Helper()
	var policy handlers.Redirect
	require.NoError(t, policy.UnmarshalText([]byte(redirect)))
	return serveAs(t, base, store, cfg, handlers.Config{Redirect: policy}, 0)
}

// serveAs is serveWith with the API's configuration too. Every response must end within a time, unless that is 0.
func serveAs(t *testing.T, base *url.URL, store backend.Store, cfg mirror.Config, api handlers.Config, within time.Duration) front {
	t.Helper()
	if cfg.Memory == nil {
		cfg.Memory = bounded.Unlimited()
	}
	if cfg.Upstreams == nil {
		cfg.Upstreams = newUpstreams(t, base, cfg.Memory, upstream.Timeouts{Header: time.Second, IdleBody: 300 * time.Millisecond})
	}
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	cfg.Store, cfg.TagTTL, cfg.SegmentSize, cfg.Log = store, time.Minute, backend.MinPart, log
	core := mirror.New(cfg)
	t.Cleanup(core.Close)
	api.Mirror, api.URLs, api.Log, api.AccessLog = core, presign.New(store, presign.Config{Expiry: time.Hour}), log, log
	handler := handlers.New(api)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if within == 0 {
			handler.ServeHTTP(w, r)
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), within)
		defer cancel()
		handler.ServeHTTP(w, r.WithContext(ctx))
		assert.NoError(t, ctx.Err(), "%s was answered too late", r.URL)
	}))
	t.Cleanup(server.Close)
	return front{server, core}
}

// newUpstreams returns upstreams with several names and one endpoint.
func newUpstreams(t *testing.T, base *url.URL, memory *bounded.Budget, timeouts upstream.Timeouts) (all []*upstream.Registry) {
	t.Helper()
	for _, name := range []string{"docker.io", "ghcr.io"} {
		u, err := upstream.New(upstream.Config{
			Memory: memory.Share(memory.Size()),
			Name:   name, Endpoints: []*url.URL{base}, Reserve: 0.1, Budget: 10 * time.Second,
			Transport: upstream.NewTransport(timeouts),
		})
		require.NoError(t, err)
		all = append(all, u)
	}
	return all
}

type answer struct {
	*http.Response
	body []byte
}

func (f front) do(t *testing.T, method, path string, header ...string) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, f.URL+path, nil)
	require.NoError(t, err)
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return answer{resp, body}
}

func (f front) get(t *testing.T, path string, header ...string) answer {
	t.Helper()
	return f.do(t, http.MethodGet, path, header...)
}

// code returns the error code of an error document, which must have only one.
func (a answer) code(t *testing.T) string {
	t.Helper()
	var doc struct {
		Errors []struct{ Code, Message string }
	}
	require.NoError(t, json.Unmarshal(a.body, &doc), "%q", a.body)
	require.Len(t, doc.Errors, 1)
	assert.NotEmpty(t, doc.Errors[0].Message)
	assert.Equal(t, "application/json", a.Header.Get("Content-Type"))
	return doc.Errors[0].Code
}

func TestBaseEndpointIdentifiesRegistry(t *testing.T) {
	f := serve(t, upstreamtest.Start(t, upstreamtest.Options{}), newFileStore(t), "")
	for _, path := range []string{"/v2/", "/v2"} {
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			a := f.do(t, method, path)
			assert.Equal(t, http.StatusOK, a.StatusCode)
			assert.Equal(t, "registry/2.0", a.Header.Get("Docker-Distribution-Api-Version"))
		}
	}
}

func TestManifestHasIdentityHeaders(t *testing.T) {
	reg := upstreamtest.Start(t, upstreamtest.Options{})
	image := reg.Image("library/app", "1", 100)
	f := serve(t, reg, newFileStore(t), "")
	for _, path := range []string{
		"/v2/library/app/manifests/1", "/v2/app/manifests/1", "/v2/docker.io/library/app/manifests/1",
		"/v2/ghcr.io/library/app/manifests/1", "/v2/library/app/manifests/" + image.Digest.String(),
		"/v2/library/app/manifests/1?ns=docker.io", "/v2/library/app/manifests/1?ns=ghcr.io",
	} {
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			a := f.do(t, method, path)
			require.Equal(t, http.StatusOK, a.StatusCode, path)
			assert.Equal(t, image.Digest.String(), a.Header.Get("Docker-Content-Digest"))
			assert.Equal(t, `"`+image.Digest.String()+`"`, a.Header.Get("ETag"))
			assert.Equal(t, image.MediaType, a.Header.Get("Content-Type"))
			assert.Equal(t, image.Size, a.ContentLength)
			assert.Equal(t, a.Request.URL.Query().Get("ns"), a.Header.Get("OCI-Namespace"))
			if method == http.MethodGet {
				assert.Equal(t, image.Body, a.body)
			}
		}
	}
	a := f.get(t, "/v2/app/manifests/1", "Range", "bytes=0-")
	assert.Equal(t, http.StatusPartialContent, a.StatusCode, "containerd requests manifests like this")
	assert.Equal(t, image.Body, a.body)
}

func TestNotModifiedIfClientHasContent(t *testing.T) {
	reg := upstreamtest.Start(t, upstreamtest.Options{})
	image := reg.Image("library/app", "1", 100)
	f := serve(t, reg, newFileStore(t), "")
	d := image.Digest.String()
	for _, known := range []string{`"` + d + `"`, d, `W/"` + d + `"`, `"x", "` + d + `"`, "*"} {
		a := f.get(t, "/v2/app/manifests/1", "If-None-Match", known)
		assert.Equal(t, http.StatusNotModified, a.StatusCode, known)
		assert.Equal(t, `"`+d+`"`, a.Header.Get("ETag"))
		assert.Empty(t, a.body)
	}
	assert.Equal(t, http.StatusOK, f.get(t, "/v2/app/manifests/1", "If-None-Match", `"sha256:other"`).StatusCode)
	layer := image.Layers[0].Digest.String()
	assert.Equal(t, http.StatusNotModified, f.get(t, "/v2/app/blobs/"+layer, "If-None-Match", `"`+layer+`"`).StatusCode)
}

func TestRangesOfABlob(t *testing.T) {
	t.Parallel()
	reg := upstreamtest.Start(t, upstreamtest.Options{})
	const size = 6<<20 + 5 // two segments
	content := upstreamtest.Random(1, size)
	whole, err := io.ReadAll(io.NewSectionReader(content, 0, size))
	require.NoError(t, err)
	d := reg.Blob("library/app", content)
	check := func(t *testing.T, f front) {
		path := "/v2/app/blobs/" + d.String()
		for header, want := range map[string]struct {
			status   int
			from, to int64
		}{
			"":                      {200, 0, size},
			"bytes=0-":              {206, 0, size},
			"bytes=0-0":             {206, 0, 1},
			"bytes=5242879-5242880": {206, 5242879, 5242881},
			"bytes=1000-":           {206, 1000, size},
			"bytes=-7":              {206, size - 7, size},
			"bytes=-99999999":       {206, 0, size},
			"bytes=10-99999999":     {206, 10, size},
			"bytes=0-1,5-6":         {200, 0, size},
			"bytes=+1-2":            {200, 0, size},
			"bytes=x":               {200, 0, size},
			"lines=1-2":             {200, 0, size},
		} {
			a := f.get(t, path, "Range", header)
			require.Equal(t, want.status, a.StatusCode, header)
			require.Equal(t, digest.FromBytes(whole[want.from:want.to]), digest.FromBytes(a.body), header)
			assert.Equal(t, d.String(), a.Header.Get("Docker-Content-Digest"))
			assert.Equal(t, "bytes", a.Header.Get("Accept-Ranges"))
			if want.status == 206 {
				assert.Equal(t, "bytes "+itoa(want.from)+"-"+itoa(want.to-1)+"/"+itoa(size), a.Header.Get("Content-Range"))
			}
		}
		for _, header := range []string{"bytes=6291461-", "bytes=99999999-", "bytes=-0", "bytes=9-3"} {
			a := f.get(t, path, "Range", header)
			assert.Equal(t, http.StatusRequestedRangeNotSatisfiable, a.StatusCode, header)
			assert.Equal(t, "bytes */6291461", a.Header.Get("Content-Range"))
			assert.Equal(t, "RANGE_INVALID", a.code(t))
		}
		a := f.get(t, path, "Range", "bytes=0-9", "If-Range", `"`+d.String()+`"`)
		assert.Equal(t, http.StatusPartialContent, a.StatusCode)
		a = f.get(t, path, "Range", "bytes=0-9", "If-Range", `"another"`)
		assert.Equal(t, http.StatusOK, a.StatusCode)
	}
	t.Run("stored", func(t *testing.T) {
		f := serve(t, reg, newFileStore(t), "")
		f.get(t, "/v2/app/blobs/"+d.String())
		require.Eventually(t, func() bool { return f.core.FillCount() == 0 }, 10*time.Second, time.Millisecond)
		check(t, f)
	})
	t.Run("in transit", func(t *testing.T) {
		reg.Faults.Set(upstreamtest.Fault{Kind: upstreamtest.BlobGet, BytesPerSecond: 4 << 20})
		defer reg.Faults.Clear()
		check(t, serve(t, reg, newFileStore(t), ""))
	})
}

func TestHeadersPrecedeFirstByteOfFill(t *testing.T) {
	reg := upstreamtest.Start(t, upstreamtest.Options{})
	d := reg.Blob("library/app", upstreamtest.Random(1, 100_000))
	goOn := make(chan struct{})
	reg.Faults.Set(upstreamtest.Fault{Kind: upstreamtest.BlobGet, Damage: upstreamtest.Stall, At: 0, Until: goOn})
	f := serve(t, reg, newFileStore(t), "")
	resp, err := http.Get(f.URL + "/v2/app/blobs/" + d.String()) // returns with the headers
	require.NoError(t, err)
	defer resp.Body.Close()
	assert.EqualValues(t, 100_000, resp.ContentLength)
	close(goOn)
	got, err := digest.FromReader(resp.Body)
	require.NoError(t, err)
	assert.Equal(t, d, got)
}

func TestBadBlobEndsShort(t *testing.T) {
	reg := upstreamtest.Start(t, upstreamtest.Options{})
	d := reg.Blob("library/app", upstreamtest.Random(1, 100_000))
	reg.Faults.Set(upstreamtest.Fault{Kind: upstreamtest.BlobGet, Damage: upstreamtest.Corrupt, At: 5})
	f := serve(t, reg, newFileStore(t), "")
	resp, err := http.Get(f.URL + "/v2/app/blobs/" + d.String())
	require.NoError(t, err)
	defer resp.Body.Close()
	n, err := io.Copy(io.Discard, resp.Body)
	assert.ErrorIs(t, err, io.ErrUnexpectedEOF)
	assert.Less(t, n, int64(100_000))

	tiny := reg.Blob("library/app", upstreamtest.Random(2, 100))
	a := f.get(t, "/v2/app/blobs/"+tiny.String())
	assert.Equal(t, http.StatusBadGateway, a.StatusCode, "a tiny blob is verified before its response starts")
	assert.Equal(t, "UNAVAILABLE", a.code(t))
}

func TestErrorsFollowTheSpec(t *testing.T) {
	reg := upstreamtest.Start(t, upstreamtest.Options{})
	reg.Image("library/app", "1", 100)
	f := serve(t, reg, newFileStore(t), "")
	none := digest.FromString("none").String()
	for _, c := range []struct {
		method, path string
		status       int
		code         string
	}{
		{"GET", "/v2/app/manifests/none", 404, "MANIFEST_UNKNOWN"},
		{"GET", "/v2/app/manifests/" + none, 404, "MANIFEST_UNKNOWN"},
		{"GET", "/v2/app/manifests/-bad-tag", 404, "MANIFEST_UNKNOWN"},
		{"GET", "/v2/app/manifests/sha256:123", 400, "DIGEST_INVALID"},
		{"GET", "/v2/app/blobs/" + none, 404, "BLOB_UNKNOWN"},
		{"GET", "/v2/app/blobs/latest", 400, "DIGEST_INVALID"},
		{"GET", "/v2/app/blobs/sha256:", 400, "DIGEST_INVALID"},
		{"GET", "/v2/app/referrers/x", 400, "DIGEST_INVALID"},
		{"GET", "/v2/UPPER/manifests/1", 400, "NAME_INVALID"},
		{"GET", "/v2/a/../b/manifests/1", 400, "NAME_INVALID"},
		{"GET", "/v2/a%2Fb/..%2F/manifests/1", 400, "NAME_INVALID"},
		{"GET", "/v2/nowhere/tags/list", 404, "NAME_UNKNOWN"},
		{"GET", "/v2/example.org/app/manifests/1", 404, "NAME_UNKNOWN"},
		{"GET", "/v2/library/app/manifests/1?ns=example.org", 404, "NAME_UNKNOWN"},
		{"GET", "/v2/_catalog", 404, "UNSUPPORTED"},
		{"GET", "/v2/app/nonsense/1", 404, "UNSUPPORTED"},
		{"GET", "/nonsense", 404, "UNSUPPORTED"},
		{"PUT", "/v2/app/manifests/1", 405, "UNSUPPORTED"},
		{"POST", "/v2/app/blobs/uploads/", 405, "UNSUPPORTED"},
		{"PATCH", "/v2/app/blobs/uploads/1", 405, "UNSUPPORTED"},
		{"DELETE", "/v2/app/blobs/" + none, 405, "UNSUPPORTED"},
	} {
		a := f.do(t, c.method, c.path)
		assert.Equal(t, c.status, a.StatusCode, "%s %s", c.method, c.path)
		assert.Equal(t, c.code, a.code(t), "%s %s", c.method, c.path)
	}
}

func TestUpstreamFailureStatuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fault  upstreamtest.Fault
		status int
		code   string
	}{
		"401":              {upstreamtest.Fault{Status: 401}, 403, "DENIED"},
		"403":              {upstreamtest.Fault{Status: 403}, 403, "DENIED"},
		"429":              {upstreamtest.Fault{Status: 429, Header: http.Header{"Retry-After": {"42"}}}, 429, "TOOMANYREQUESTS"},
		"500":              {upstreamtest.Fault{Status: 500}, 502, "UNAVAILABLE"},
		"no response":      {upstreamtest.Fault{Hang: true}, 504, "UNAVAILABLE"},
		"a cut connection": {upstreamtest.Fault{Drop: true}, 502, "UNAVAILABLE"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			reg := upstreamtest.Start(t, upstreamtest.Options{})
			image := reg.Image("library/app", "1", 100)
			reg.Faults.Set(c.fault)
			f := serve(t, reg, newFileStore(t), "")
			for _, path := range []string{"/v2/app/manifests/1", "/v2/app/manifests/" + image.Digest.String(),
				"/v2/app/blobs/" + image.Layers[0].Digest.String(), "/v2/app/tags/list"} {
				a := f.get(t, path)
				assert.Equal(t, c.status, a.StatusCode, path)
				assert.Equal(t, c.code, a.code(t))
				assert.Equal(t, c.fault.Header.Get("Retry-After"), a.Header.Get("Retry-After"))
				assert.Contains(t, string(a.body), "upstream docker.io")
			}
		})
	}
}

func TestStaleTagHasWarning(t *testing.T) {
	reg := upstreamtest.Start(t, upstreamtest.Options{})
	reg.Image("library/app", "1", 100)
	store := newFileStore(t)
	require.Equal(t, http.StatusOK, serve(t, reg, store, "").get(t, "/v2/app/manifests/1").StatusCode)
	reg.Stop()
	const key = "public/tags/docker.io/library/app/_/1"
	makeOld(t, store, key)
	a := serve(t, reg, store, "").get(t, "/v2/app/manifests/1")
	assert.Equal(t, http.StatusOK, a.StatusCode)
	assert.Equal(t, `110 - "Response is Stale"`, a.Header.Get("Warning"))
	assert.Equal(t, "3600", a.Header.Get("Age"))
}

func TestTagPagesKeepTheClientsName(t *testing.T) {
	reg := upstreamtest.Start(t, upstreamtest.Options{})
	for _, tag := range []string{"a", "b", "c"} {
		reg.Image("library/app", tag, 100)
	}
	f := serve(t, reg, newFileStore(t), "")
	for _, path := range []string{"/v2/library/app/tags/list?n=2", "/v2/docker.io/library/app/tags/list?n=2", "/v2/library/app/tags/list?n=2&ns=docker.io"} {
		var all []string
		for path != "" {
			a := f.get(t, path)
			require.Equal(t, http.StatusOK, a.StatusCode, path)
			var page struct{ Tags []string }
			require.NoError(t, json.Unmarshal(a.body, &page))
			all = append(all, page.Tags...)
			path = nextLink(t, a)
		}
		assert.Equal(t, []string{"a", "b", "c"}, all)
	}
}

func TestInvalidPageSizeIsClientError(t *testing.T) {
	reg := upstreamtest.Start(t, upstreamtest.Options{})
	reg.Image("library/app", "1", 100)
	a := serve(t, reg, newFileStore(t), "").get(t, "/v2/app/tags/list?n=many")
	assert.Equal(t, http.StatusBadRequest, a.StatusCode)
	assert.Contains(t, string(a.body), "PAGINATION_NUMBER_INVALID")
}

func TestReferrersFoundAndFiltered(t *testing.T) {
	reg := upstreamtest.Start(t, upstreamtest.Options{})
	image := reg.Image("library/app", "1", 100)
	f := serve(t, reg, newFileStore(t), "")
	a := f.get(t, "/v2/app/referrers/"+image.Digest.String()+"?artifactType=a/b")
	assert.Equal(t, http.StatusOK, a.StatusCode)
	assert.Equal(t, "artifactType", a.Header.Get("OCI-Filters-Applied"))
	assert.Equal(t, "application/vnd.oci.image.index.v1+json", a.Header.Get("Content-Type"))
	assert.Contains(t, string(a.body), `"manifests":[]`)
}

func TestMissingReferrersAPIPassedOn(t *testing.T) {
	reg := upstreamtest.Start(t, upstreamtest.Options{NoReferrers: true})
	image := reg.Image("library/app", "1", 100)
	a := serve(t, reg, newFileStore(t), "").get(t, "/v2/app/referrers/"+image.Digest.String())
	assert.Equal(t, http.StatusNotFound, a.StatusCode, "clients then look for the fallback tag")
}
