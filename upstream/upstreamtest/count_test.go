package upstreamtest_test

import (
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/upstream/upstreamtest"
)

// rules lists the rules that were broken, with repetitions.
func rules(reg *upstreamtest.Registry) []upstreamtest.Rule {
	var rules []upstreamtest.Rule
	for _, violation := range reg.Counts().Violations {
		rules = append(rules, violation.Rule)
	}
	return rules
}

func TestRequestsAndBytesAreCounted(t *testing.T) {
	t.Parallel()
	reg := upstreamtest.Start(t, upstreamtest.Options{})
	one, two := reg.Blob("org/app", upstreamtest.Random(1, 1000)), reg.Blob("org/other", upstreamtest.Random(2, 100_000))
	base := reg.URL() + "/v2/"
	get(t, base)
	get(t, base+"org/app/blobs/"+one.String())
	get(t, base+"org/app/blobs/"+one.String(), "Range", "bytes=10-19")
	head(t, base+"org/app/blobs/"+one.String())
	get(t, base+"org/app/manifests/none")
	reg.Faults.Set(upstreamtest.Fault{Digest: two, Damage: upstreamtest.Cut, At: 50_000})
	get(t, base+"org/other/blobs/"+two.String())
	reg.Faults.Set(upstreamtest.Fault{HTML: true})
	get(t, base+"org/other/blobs/"+two.String())

	counts := reg.Counts()
	require.Equal(t, map[upstreamtest.Kind]int{
		upstreamtest.Ping: 1, upstreamtest.BlobGet: 4, upstreamtest.BlobHead: 1, upstreamtest.ManifestGet: 1,
	}, counts.Requests)
	require.Equal(t, map[string]map[upstreamtest.Kind]int{
		"":          {upstreamtest.Ping: 1},
		"org/app":   {upstreamtest.BlobGet: 2, upstreamtest.BlobHead: 1, upstreamtest.ManifestGet: 1},
		"org/other": {upstreamtest.BlobGet: 2},
	}, counts.ByRepository)
	require.EqualValues(t, 51_010, counts.BlobBytes)
	require.Equal(t, map[digest.Digest]int64{one: 1010, two: 50_000}, counts.BytesByDigest)

	log := reg.Requests()
	require.Len(t, log, 7)
	require.Equal(t, "bytes=10-19", log[2].Header.Get("Range"))
	require.Equal(t, 206, log[2].Status)
	require.Equal(t, reg.Host(), log[2].At)
	require.Equal(t, one, log[2].Digest)
	require.Equal(t, "/v2/org/app/manifests/none", log[4].Path)
	require.Equal(t, 404, log[4].Status)

	reg.ResetCounts()
	require.Empty(t, reg.Requests())
	require.Zero(t, reg.Counts().BlobBytes)
	require.Equal(t, map[upstreamtest.Kind]int{upstreamtest.Ping: 1, upstreamtest.BlobGet: 4, upstreamtest.BlobHead: 1,
		upstreamtest.ManifestGet: 1}, counts.Requests, "a snapshot does not change")
}

func TestCDNBytesCountForRepository(t *testing.T) {
	t.Parallel()
	reg := upstreamtest.Start(t, upstreamtest.Options{CDN: true})
	d := reg.Blob("org/app", upstreamtest.Random(1, 1000))
	resp, err := http.Get(reg.URL() + "/v2/org/app/blobs/" + d.String())
	require.NoError(t, err)
	_, err = io.Copy(io.Discard, resp.Body)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	counts := reg.Counts()
	require.Equal(t, map[upstreamtest.Kind]int{upstreamtest.BlobGet: 1, upstreamtest.CDNGet: 1}, counts.ByRepository["org/app"])
	require.EqualValues(t, 1000, counts.BytesByDigest[d])
	require.Equal(t, 1, counts.PeakBlobGets, "a redirect carries no blob")
}

func TestPeakBlobGetsCounted(t *testing.T) {
	t.Parallel()
	reg := upstreamtest.Start(t, upstreamtest.Options{})
	d := reg.Blob("org/app", upstreamtest.Random(1, 1000))
	url := reg.URL() + "/v2/org/app/blobs/" + d.String()
	for range 20 {
		get(t, url) // one at a time, each on a new connection
	}
	require.Equal(t, 1, reg.Counts().PeakBlobGets)

	release := make(chan struct{})
	reg.Faults.Set(upstreamtest.Fault{Hang: true, Until: release})
	var wg sync.WaitGroup
	for range 5 {
		wg.Go(func() { _, _ = askWith(t.Context(), "GET", url) })
	}
	require.Eventually(t, func() bool { return reg.Counts().BlobGets == 5 }, 5*time.Second, time.Millisecond)
	close(release)
	wg.Wait()
	require.Equal(t, 5, reg.Counts().PeakBlobGets)
	require.Zero(t, reg.Counts().BlobGets)
	require.GreaterOrEqual(t, reg.Counts().PeakConnections, 5)
}

func TestViolationsAreRecorded(t *testing.T) {
	t.Parallel()
	const (
		leak     = upstreamtest.AuthorizationLeak
		identity = upstreamtest.IdentityMissing
		accept   = upstreamtest.AcceptIncomplete
	)
	types := strings.Join(upstreamtest.ManifestTypes(), ", ")
	known := upstreamtest.Options{Auth: true, CDN: true, Username: "ann", Password: "secret"}
	for what, c := range map[string]struct {
		opts    upstreamtest.Options
		path    string // BLOB: that of a layer; CDN: its signed URL
		headers []string
		want    []upstreamtest.Rule
	}{
		"a good manifest":            {known, "/v2/org/app/manifests/v1", []string{"Accept", types, "Authorization", "Bearer x"}, nil},
		"a manifest with weights":    {known, "/v2/org/app/manifests/v1", []string{"Accept", strings.ReplaceAll(types, ",", ";q=0.5,")}, nil},
		"a manifest without a list":  {known, "/v2/org/app/manifests/v1", []string{"Accept", "*/*"}, []upstreamtest.Rule{accept}},
		"a good blob":                {known, "BLOB", []string{"Accept-Encoding", "identity"}, nil},
		"a blob, compressed":         {known, "BLOB", []string{"Accept-Encoding", "gzip"}, []upstreamtest.Rule{identity}},
		"a blob, identity and gzip":  {known, "BLOB", []string{"Accept-Encoding", "identity, gzip"}, []upstreamtest.Rule{identity}},
		"a good CDN GET":             {upstreamtest.Options{CDN: true}, "CDN", []string{"Accept-Encoding", "identity"}, nil},
		"a CDN GET, bare":            {upstreamtest.Options{CDN: true}, "CDN", nil, []upstreamtest.Rule{identity}},
		"a CDN GET with a token":     {upstreamtest.Options{CDN: true}, "CDN", []string{"Accept-Encoding", "identity", "Authorization", "Bearer x"}, []upstreamtest.Rule{leak}},
		"a token without password":   {known, "/token", nil, nil},
		"a token with the password":  {known, "/token", []string{"Authorization", "Basic YW5uOnNlY3JldA=="}, nil},
		"a token with another token": {known, "/token", []string{"Authorization", "Bearer x"}, []upstreamtest.Rule{leak}},
		"an unexpected password":     {upstreamtest.Options{Auth: true}, "/token", []string{"Authorization", "Basic YTpi"}, []upstreamtest.Rule{leak}},
		"a password in place of a token": {known, "/v2/", []string{"Authorization", "Basic YW5uOnNlY3JldA=="},
			[]upstreamtest.Rule{leak}},
		"an unexpected token": {upstreamtest.Options{}, "/v2/", []string{"Authorization", "Bearer x"}, []upstreamtest.Rule{leak}},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			reg := upstreamtest.Start(t, c.opts)
			image := reg.Image("org/app", "v1", 100)
			url := reg.URL() + c.path
			switch blob := reg.URL() + "/v2/org/app/blobs/" + image.Layers[0].Digest.String(); c.path {
			case "BLOB":
				url = blob
			case "CDN":
				url = get(t, blob).Header.Get("Location")
			}
			reg.ResetCounts()
			get(t, url, c.headers...)
			require.Equal(t, c.want, rules(reg))
		})
	}
}

func TestRateLimitCountsManifestGets(t *testing.T) {
	t.Parallel()
	reg := upstreamtest.Start(t, upstreamtest.Options{RateLimit: 2})
	reg.Image("org/app", "v1", 100)
	url := reg.URL() + "/v2/org/app/manifests/v1"
	for _, c := range []struct {
		ask       func(*testing.T, string, ...string) reply
		status    int
		remaining string
	}{
		{head, 200, "2;w=21600"}, {get, 200, "1;w=21600"}, {get, 200, "0;w=21600"}, {head, 200, "0;w=21600"}, {get, 429, "0;w=21600"},
	} {
		r := c.ask(t, url)
		require.Equal(t, c.status, r.StatusCode)
		require.Equal(t, "2;w=21600", r.Header.Get("ratelimit-limit"))
		require.Equal(t, c.remaining, r.Header.Get("ratelimit-remaining"))
		require.NotEmpty(t, r.Header.Get("docker-ratelimit-source"))
	}
}
