package handlers_test

import (
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/backend/backendtest/memory"
	"github.com/entrepot-io/entrepot/handlers"

	"github.com/entrepot-io/entrepot/mirror"
	"github.com/entrepot-io/entrepot/upstream/upstreamtest"
)

// trouble is a way in which an upstream fails to deliver content that is not cached.
type trouble struct {
	name     string
	options  upstreamtest.Options
	faults   [][]upstreamtest.Fault              // each leads to the same responses
	endpoint func(*upstreamtest.Registry) string // nil: the registry's URL
	bytes    bool                                // only a digest reveals it, and lists have none
}

var (
	retryLater = http.Header{"Retry-After": {"7"}}
	anyKind    = []upstreamtest.Kind{upstreamtest.ManifestHead, upstreamtest.ManifestGet, upstreamtest.BlobHead, upstreamtest.BlobGet, upstreamtest.Tags, upstreamtest.Referrers}
)

// everywhere returns each fault for all kinds of requests except those for tokens.
func everywhere(faults ...upstreamtest.Fault) (each [][]upstreamtest.Fault) {
	for _, fault := range faults {
		var all []upstreamtest.Fault
		for _, kind := range anyKind {
			fault.Kind = kind
			all = append(all, fault)
		}
		each = append(each, all)
	}
	return each
}

func always(statuses ...int) (each [][]upstreamtest.Fault) {
	for _, status := range statuses {
		each = append(each, everywhere(upstreamtest.Fault{Status: status})...)
	}
	return each
}

func redirectTo(location string) [][]upstreamtest.Fault {
	return everywhere(upstreamtest.Fault{Status: http.StatusTemporaryRedirect, Header: http.Header{"Location": {location}}})
}

func tokenService(faults ...upstreamtest.Fault) (each [][]upstreamtest.Fault) {
	for _, fault := range faults {
		fault.Kind = upstreamtest.Token
		each = append(each, []upstreamtest.Fault{fault})
	}
	return each
}

var (
	withTokens = upstreamtest.Options{Auth: true}
	troubles   = []trouble{
		{name: "answers 400", faults: always(400)},
		{name: "answers 401 or 403", faults: always(401, 403)},
		{name: "answers 404", faults: always(404)},
		{name: "answers 405 or 501", faults: always(405, 501)},
		{name: "answers 406 or 410", faults: always(406, 410)},
		{name: "answers 429, `Retry-After: 7`", faults: everywhere(upstreamtest.Fault{Status: http.StatusTooManyRequests, Header: retryLater})},
		{name: "answers 408 or 5xx", faults: always(408, 500, 502, 503, 504)},
		{name: "answers 503, `Retry-After: 7`", faults: everywhere(upstreamtest.Fault{Status: http.StatusServiceUnavailable, Header: retryLater})},
		{name: "answers with an HTML page", faults: everywhere(upstreamtest.Fault{HTML: true, Header: http.Header{"Docker-Content-Digest": nil}})},
		{name: "answers with other bytes", bytes: true, faults: everywhere(upstreamtest.Fault{Damage: upstreamtest.Corrupt, At: 5, Header: http.Header{"Docker-Content-Digest": nil}})},
		{name: "redirects to where [it may not](security.md#where-an-upstream-may-send-entrepot)", faults: redirectTo("http://169.254.169.254/")},
		{name: "redirects in a circle", faults: redirectTo("?")},
		{name: "hangs", faults: everywhere(upstreamtest.Fault{Hang: true})},
		{name: "hangs behind the headers", faults: everywhere(upstreamtest.Fault{Damage: upstreamtest.Stall})},
		{name: "closes the connection", faults: everywhere(upstreamtest.Fault{Drop: true})},
		{name: "closes it behind the headers", faults: everywhere(upstreamtest.Fault{Damage: upstreamtest.Cut})},
		{name: "refuses connections", endpoint: func(r *upstreamtest.Registry) string { r.Stop(); return r.URL() }},
		{name: "fails the TLS handshake", endpoint: func(r *upstreamtest.Registry) string { return "https://" + r.Host() }},
		{name: "has a name that DNS does not know", endpoint: func(*upstreamtest.Registry) string { return "http://registry.invalid" }},
		{name: "has a token service that answers 401 or 403", options: withTokens, faults: tokenService(upstreamtest.Fault{Status: 401}, upstreamtest.Fault{Status: 403})},
		{name: "has one that answers 429, `Retry-After: 7`", options: withTokens,
			faults: tokenService(upstreamtest.Fault{Status: http.StatusTooManyRequests, Header: retryLater})},
		{name: "has one that answers 5xx", options: withTokens, faults: tokenService(upstreamtest.Fault{Status: 500}, upstreamtest.Fault{Status: 503})},
		{name: "has one that answers with an HTML page", options: withTokens, faults: tokenService(upstreamtest.Fault{HTML: true})},
		{name: "has one that hangs", options: withTokens, faults: tokenService(upstreamtest.Fault{Hang: true})},
	}
)

// wanted is the content that clients request. The layer is larger than what is held back until the hash is known.
var wanted = []struct {
	name string
	list bool
	miss handlers.Miss
	path func(upstreamtest.Image) string
}{
	{"a tag", false, "", func(upstreamtest.Image) string { return "manifests/1" }},
	{"a manifest by digest", false, "", func(i upstreamtest.Image) string { return "manifests/" + i.Digest.String() }},
	{"a blob", false, "", func(i upstreamtest.Image) string { return "blobs/" + i.Layers[0].Digest.String() }},
	{"a blob, with `ENTREPOT_MISS=redirect`", false, handlers.MissRedirect, func(i upstreamtest.Image) string { return "blobs/" + i.Layers[0].Digest.String() }},
	{"`tags/list`", true, "", func(upstreamtest.Image) string { return "tags/list" }},
	{"`referrers`", true, "", func(i upstreamtest.Image) string { return "referrers/" + i.Digest.String() }},
}

func TestTroubleTableMatchesBehavior(t *testing.T) {
	t.Parallel()
	rows := [][]string{{"the upstream"}}
	for _, thing := range wanted {
		rows[0] = append(rows[0], thing.name)
	}
	var wg sync.WaitGroup
	slots := make(chan struct{}, 16)
	for _, trouble := range troubles {
		row := make([]string, 1+len(wanted))
		row[0] = trouble.name
		rows = append(rows, row)
		for column, thing := range wanted {
			if trouble.bytes && thing.list {
				row[1+column] = "-"
				continue
			}
			wg.Go(func() {
				slots <- struct{}{}
				defer func() { <-slots }()
				t.Run(trouble.name+"/"+thing.name, func(t *testing.T) { row[1+column] = trouble.answer(t, thing.miss, thing.path) })
			})
		}
	}
	wg.Wait()
	checkTable(t, "docs/operations.md", "upstream errors", rows)
}

// answer describes the response to a client's request in the words of the table.
func (trouble trouble) answer(t *testing.T, miss handlers.Miss, path func(upstreamtest.Image) string) (told string) {
	faults := trouble.faults
	if faults == nil {
		faults = [][]upstreamtest.Fault{nil}
	}
	for i, fault := range faults {
		reg := upstreamtest.Start(t, trouble.options)
		image := reg.Image("library/app", "1", 100_000)
		reg.Faults.Set(fault...)
		endpoint := reg.URL()
		if trouble.endpoint != nil {
			endpoint = trouble.endpoint(reg)
		}
		base, err := url.Parse(endpoint)
		require.NoError(t, err)
		f := serveAs(t, base, newPresigning(), mirror.Config{}, handlers.Config{Miss: miss}, 0)
		other := told
		told = f.told(t, "/v2/library/app/"+path(image))
		if i > 0 {
			assert.Equal(t, other, told, "the answers to %+v and %+v differ", faults[i-1], fault)
		}
	}
	return told
}

// presigning is a store with presigned URLs that lead nowhere.
type presigning struct {
	*memory.Store
	fixedURL
}

func newPresigning() presigning { return presigning{new(memory.Store), bucketURL} }

// told sends a request and describes the response in the words of the table. It is never 503, which means trouble with the
// bucket.
func (f front) told(t *testing.T, path string) string {
	t.Helper()
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Get(f.URL + path)
	require.NoError(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	assert.NotEqual(t, http.StatusServiceUnavailable, resp.StatusCode, "%s", body)
	if resp.StatusCode < http.StatusBadRequest {
		said := strconv.Itoa(resp.StatusCode)
		if err != nil {
			said += ", breaks off"
		}
		return said
	}
	require.NoError(t, err)
	said := answer{resp, body}.problem(t)
	if !strings.Contains(string(body), "upstream docker.io") {
		t.Errorf("%s does not name the upstream", body)
	}
	return said
}
