package upstreamtest_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/upstream/upstreamtest"
)

// Each case is a GET of a blob or of a range of it.
func TestFaultsChangeResponses(t *testing.T) {
	t.Parallel()
	type fault = upstreamtest.Fault
	const size = 100_000
	content := make([]byte, size)
	_, err := upstreamtest.Random(1, size).ReadAt(content, 0)
	require.NoError(t, err)
	wrong := slices.Clone(content)
	wrong[50_000] ^= 0xff
	inverted := slices.Clone(content)
	for i := range inverted {
		inverted[i] ^= 0xff
	}

	for what, c := range map[string]struct {
		fault  fault
		ranged string // the Range header
		status int
		body   []byte
		length int64 // as announced; -1: not announced
		err    error
		header http.Header // nil values: must be absent
	}{
		"none":                {fault{}, "", 200, content, size, nil, nil},
		"none, range":         {fault{}, "bytes=10-19", 206, content[10:20], 10, nil, nil},
		"cut":                 {fault{Damage: upstreamtest.Cut, At: 40_000}, "", 200, content[:40_000], size, io.ErrUnexpectedEOF, nil},
		"cut at once":         {fault{Damage: upstreamtest.Cut}, "", 200, []byte{}, size, io.ErrUnexpectedEOF, nil},
		"cut a range":         {fault{Damage: upstreamtest.Cut, At: 5}, "bytes=10-19", 206, content[10:15], 10, io.ErrUnexpectedEOF, nil},
		"cut behind the end":  {fault{Damage: upstreamtest.Cut, At: size}, "", 200, content, size, nil, nil},
		"cut chunked":         {fault{Damage: upstreamtest.Cut, At: 40_000, Chunked: true}, "", 200, content[:40_000], -1, io.ErrUnexpectedEOF, nil},
		"end":                 {fault{Damage: upstreamtest.End, At: 40_000}, "", 200, content[:40_000], -1, nil, nil},
		"end at once":         {fault{Damage: upstreamtest.End}, "", 200, []byte{}, -1, nil, nil},
		"end a range":         {fault{Damage: upstreamtest.End, At: 5}, "bytes=10-19", 206, content[10:15], -1, nil, nil},
		"end behind the end":  {fault{Damage: upstreamtest.End, At: size + 1}, "", 200, content, -1, nil, nil},
		"invert":              {fault{Damage: upstreamtest.Invert}, "", 200, inverted, size, nil, nil},
		"invert a range":      {fault{Damage: upstreamtest.Invert}, "bytes=10-19", 206, inverted[10:20], 10, nil, nil},
		"corrupt":             {fault{Damage: upstreamtest.Corrupt, At: 50_000}, "", 200, wrong, size, nil, nil},
		"corrupt a range":     {fault{Damage: upstreamtest.Corrupt, At: 50_000}, "bytes=50000-", 206, wrong[50_000:], 50_000, nil, nil},
		"corrupt elsewhere":   {fault{Damage: upstreamtest.Corrupt, At: 50_000}, "bytes=0-49999", 206, content[:50_000], 50_000, nil, nil},
		"truncate":            {fault{Damage: upstreamtest.Truncate, At: 70_000}, "", 200, content[:70_000], 70_000, nil, nil},
		"truncate to nothing": {fault{Damage: upstreamtest.Truncate}, "", 200, []byte{}, 0, nil, nil},
		"truncate a range": {fault{Damage: upstreamtest.Truncate, At: 70_000}, "bytes=60000-79999", 206, content[60_000:70_000], 10_000, nil,
			http.Header{"Content-Range": {"bytes 60000-69999/70000"}}},
		"pad": {fault{Damage: upstreamtest.Pad, At: 3}, "", 200, append(slices.Clone(content), 0, 0, 0), size + 3, nil, nil},
		"pad a range": {fault{Damage: upstreamtest.Pad, At: 3}, "bytes=99999-", 206, append(slices.Clone(content[99_999:]), 0, 0, 0), 4, nil,
			http.Header{"Content-Range": {"bytes 99999-100002/100003"}}},
		"range ignored": {fault{IgnoreRange: true}, "bytes=10-19", 200, content, size, nil, http.Header{"Content-Range": nil}},
		"range shifted": {fault{ShiftRange: 5}, "bytes=10-19", 206, content[15:25], 10, nil,
			http.Header{"Content-Range": {"bytes 15-24/100000"}}},
		"range shifted back": {fault{ShiftRange: -50}, "bytes=10-", 206, content, size, nil,
			http.Header{"Content-Range": {"bytes 0-99999/100000"}}},
		"range mislabelled": {fault{Header: http.Header{"Content-Range": {"bytes 0-9/10"}}}, "bytes=10-19", 206, content[10:20], 10, nil,
			http.Header{"Content-Range": {"bytes 0-9/10"}}},
		"chunked":       {fault{Chunked: true}, "", 200, content, -1, nil, nil},
		"chunked short": {fault{Chunked: true}, "bytes=10-19", 206, content[10:20], -1, nil, nil},
		"no digest": {fault{Header: http.Header{"Docker-Content-Digest": nil}}, "", 200, content, size, nil,
			http.Header{"Docker-Content-Digest": nil}},
		"a body": {fault{Body: []byte("hello")}, "", 200, []byte("hello"), 5, nil, nil},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			reg := upstreamtest.Start(t, upstreamtest.Options{})
			d := reg.Blob("org/app", bytes.NewReader(content))
			reg.Faults.Set(c.fault)
			var headers []string
			if c.ranged != "" {
				headers = []string{"Range", c.ranged}
			}
			r := get(t, reg.URL()+"/v2/org/app/blobs/"+d.String(), headers...)
			require.Equal(t, c.status, r.StatusCode)
			require.Equal(t, c.length, r.ContentLength)
			require.Equal(t, c.err, r.err)
			require.True(t, bytes.Equal(c.body, r.body), "%d bytes", len(r.body))
			for name, want := range c.header {
				require.Equal(t, want, r.Header[name], name)
			}
			require.Equal(t, what != "corrupt elsewhere", reg.Requests()[0].Faulted)
			require.Equal(t, c.status, reg.Requests()[0].Status)
		})
	}
}

func TestFaultHitsOnlyItsKind(t *testing.T) {
	t.Parallel()
	reg := upstreamtest.Start(t, upstreamtest.Options{Auth: true, CDN: true})
	image := reg.Image("org/app", "v1", 100)
	bearer := []string{"Authorization", "Bearer " + token(t, reg, "org/app")}
	blob := reg.URL() + "/v2/org/app/blobs/" + image.Layers[0].Digest.String()
	signed := get(t, blob, bearer...).Header.Get("Location")
	asks := map[upstreamtest.Kind]func() reply{
		upstreamtest.Ping:         func() reply { return get(t, reg.URL()+"/v2/", bearer...) },
		upstreamtest.Token:        func() reply { return get(t, reg.URL()+"/token") },
		upstreamtest.ManifestHead: func() reply { return head(t, reg.URL()+"/v2/org/app/manifests/v1", bearer...) },
		upstreamtest.ManifestGet:  func() reply { return get(t, reg.URL()+"/v2/org/app/manifests/v1", bearer...) },
		upstreamtest.BlobHead:     func() reply { return head(t, blob, bearer...) },
		upstreamtest.BlobGet:      func() reply { return get(t, blob, bearer...) },
		upstreamtest.CDNGet:       func() reply { return get(t, signed) },
		upstreamtest.Tags:         func() reply { return get(t, reg.URL()+"/v2/org/app/tags/list", bearer...) },
		upstreamtest.Referrers:    func() reply { return get(t, reg.URL()+"/v2/org/app/referrers/"+image.Digest.String(), bearer...) },
	}
	for kind := range asks {
		for _, status := range []int{401, 403, 404, 405, 408, 429, 500, 503} {
			reg.Faults.Set(upstreamtest.Fault{Kind: kind, Status: status, Header: http.Header{"Retry-After": {"7"}}})
			for other, ask := range asks {
				r := ask()
				if other == kind {
					require.Equal(t, status, r.StatusCode)
					require.Equal(t, "7", r.Header.Get("Retry-After"))
				} else {
					require.Less(t, r.StatusCode, 400, "%s with a fault for %s", other, kind)
				}
			}
		}
		reg.Faults.Set(upstreamtest.Fault{Kind: kind, HTML: true})
		r := asks[kind]()
		require.Equal(t, 200, r.StatusCode)
		require.Equal(t, "text/html; charset=utf-8", r.Header.Get("Content-Type"))
	}
	reg.Faults.Set(upstreamtest.Fault{Kind: upstreamtest.ManifestGet, Status: 401})
	require.Contains(t, asks[upstreamtest.ManifestGet]().Header.Get("WWW-Authenticate"), "invalid_token")
	reg.Faults.Clear()
	require.Equal(t, 200, asks[upstreamtest.ManifestGet]().StatusCode)
}

func TestFaultHitsOnlyAuthorizedRequests(t *testing.T) {
	t.Parallel()
	reg := upstreamtest.Start(t, upstreamtest.Options{Auth: true})
	reg.Image("org/app", "v1", 100)
	reg.Faults.Set(upstreamtest.Fault{Kind: upstreamtest.ManifestGet, Status: 503, Times: 1})
	require.Equal(t, 401, get(t, reg.URL()+"/v2/org/app/manifests/v1").StatusCode)
	bearer := "Bearer " + token(t, reg, "org/app")
	require.Equal(t, 503, get(t, reg.URL()+"/v2/org/app/manifests/v1", "Authorization", bearer).StatusCode)
	require.Equal(t, 200, get(t, reg.URL()+"/v2/org/app/manifests/v1", "Authorization", bearer).StatusCode)
}

func TestFirstMatchingFaultApplies(t *testing.T) {
	t.Parallel()
	reg := upstreamtest.Start(t, upstreamtest.Options{})
	one, two := reg.Blob("org/app", upstreamtest.Random(1, 100)), reg.Blob("org/app", upstreamtest.Random(2, 100))
	reg.Blob("org/other", upstreamtest.Random(1, 100))
	old := reg.Manifest("org/app", "v1", "text/plain", []byte("old"))
	statuses := func(path string, n int, headers ...string) []int {
		var got []int
		for range n {
			got = append(got, get(t, reg.URL()+"/v2/"+path, headers...).StatusCode)
		}
		return got
	}

	reg.Faults.Set(upstreamtest.Fault{Times: 2, Status: 500}, upstreamtest.Fault{Skip: 1, Times: 1, Status: 503})
	reg.Faults.Add(upstreamtest.Fault{Status: 429})
	require.Equal(t, []int{500, 500, 429, 503, 429}, statuses("org/app/tags/list", 5))
	require.Equal(t, 1, reg.Faults.Left())

	reg.Faults.Set(upstreamtest.Fault{Repo: "org/other", Status: 500}, upstreamtest.Fault{Digest: two, Status: 503}, upstreamtest.Fault{Digest: old.Digest, Status: 429})
	require.Equal(t, []int{200}, statuses("org/app/blobs/"+one.String(), 1))
	require.Equal(t, []int{503}, statuses("org/app/blobs/"+two.String(), 1))
	require.Equal(t, []int{500}, statuses("org/other/blobs/"+one.String(), 1))
	require.Equal(t, []int{429}, statuses("org/app/manifests/v1", 1))

	reg.Faults.Set(upstreamtest.Fault{Byte: new(int64(50)), Status: 500})
	for header, want := range map[string]int{"bytes=0-49": 206, "bytes=40-50": 500, "bytes=50-": 500, "bytes=51-": 206} {
		require.Equal(t, []int{want}, statuses("org/app/blobs/"+one.String(), 1, "Range", header), header)
	}
	require.Equal(t, []int{500}, statuses("org/app/blobs/"+one.String(), 1))
}

func TestTimesIsExactForConcurrentRequests(t *testing.T) {
	t.Parallel()
	reg := upstreamtest.Start(t, upstreamtest.Options{})
	reg.Faults.Set(upstreamtest.Fault{Times: 7, Status: 500})
	var failed atomic.Int64
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if r, err := askWith(t.Context(), "GET", reg.URL()+"/v2/"); err == nil && r.StatusCode == 500 {
				failed.Add(1)
			}
		})
	}
	wg.Wait()
	require.EqualValues(t, 7, failed.Load())
	require.Zero(t, reg.Faults.Left())
}

func TestDelayAndThrottleTakeTime(t *testing.T) {
	t.Parallel()
	reg := upstreamtest.Start(t, upstreamtest.Options{})
	d := reg.Blob("org/app", upstreamtest.Random(1, 20_000))
	for what, fault := range map[string]upstreamtest.Fault{
		"latency":  {Delay: 200 * time.Millisecond},
		"throttle": {BytesPerSecond: 100_000},
	} {
		reg.Faults.Set(fault)
		began := time.Now()
		r := get(t, reg.URL()+"/v2/org/app/blobs/"+d.String())
		require.Len(t, r.body, 20_000)
		require.GreaterOrEqual(t, time.Since(began), 200*time.Millisecond, what)
	}
}

func TestThrottledBodyTrickles(t *testing.T) {
	t.Parallel()
	reg := upstreamtest.Start(t, upstreamtest.Options{})
	d := digest.FromString("not the real digest, which would take long to compute")
	reg.BlobUnder(d, "org/app", upstreamtest.Random(1, 1<<30))
	reg.Faults.Set(upstreamtest.Fault{BytesPerSecond: 1000})
	resp, err := http.Get(reg.URL() + "/v2/org/app/blobs/" + d.String())
	require.NoError(t, err)
	_, err = io.ReadFull(resp.Body, make([]byte, 50))
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Eventually(t, func() bool { return reg.Counts().BlobGets == 0 }, 5*time.Second, time.Millisecond)
	require.Less(t, reg.Counts().BlobBytes, int64(20_000))
}

func TestHangLastsUntilClientLeaves(t *testing.T) {
	t.Parallel()
	reg := upstreamtest.Start(t, upstreamtest.Options{})
	reg.Faults.Set(upstreamtest.Fault{Hang: true})
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	_, err := askWith(ctx, "GET", reg.URL()+"/v2/")
	require.ErrorIs(t, err, context.Canceled)
	require.Eventually(t, func() bool { return reg.Counts().Connections == 0 }, 5*time.Second, time.Millisecond)
	for _, request := range reg.Requests() { // none if the client left before the registry read the request
		require.Zero(t, request.Status)
	}
}

func TestStallLastsUntilClientLeaves(t *testing.T) {
	t.Parallel()
	reg := upstreamtest.Start(t, upstreamtest.Options{})
	d := reg.Blob("org/app", upstreamtest.Random(1, 1000))
	reg.Faults.Set(upstreamtest.Fault{Damage: upstreamtest.Stall, At: 300})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, "GET", reg.URL()+"/v2/org/app/blobs/"+d.String(), nil)
	require.NoError(t, err)
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	_, err = io.ReadFull(resp.Body, make([]byte, 300))
	require.NoError(t, err)
	time.AfterFunc(50*time.Millisecond, cancel)
	rest, err := io.ReadAll(resp.Body)
	require.Empty(t, rest)
	require.ErrorIs(t, err, context.Canceled)
	require.Eventually(t, func() bool { return reg.Counts().Connections == 0 }, 5*time.Second, time.Millisecond)
	require.Zero(t, reg.Counts().BlobGets)
	require.EqualValues(t, 300, reg.Counts().BlobBytes)
}

func TestHangsAndStallsEndWithUntil(t *testing.T) {
	t.Parallel()
	reg := upstreamtest.Start(t, upstreamtest.Options{})
	d := reg.Blob("org/app", upstreamtest.Random(1, 1000))
	for _, fault := range []upstreamtest.Fault{{Hang: true}, {Damage: upstreamtest.Stall}, {Damage: upstreamtest.Stall, At: 300}} {
		release := make(chan struct{})
		fault.Until = release
		reg.Faults.Set(fault)
		reg.ResetCounts()
		body := make(chan []byte)
		go func() {
			r, _ := askWith(t.Context(), "GET", reg.URL()+"/v2/org/app/blobs/"+d.String())
			body <- r.body
		}()
		require.Eventually(t, func() bool {
			c := reg.Counts()
			return c.BlobGets == 1 && c.BlobBytes == fault.At
		}, 5*time.Second, time.Millisecond)
		close(release)
		require.Equal(t, d, d.Algorithm().FromBytes(<-body))
	}
}

func TestDroppedConnectionHasNoResponse(t *testing.T) {
	t.Parallel()
	reg := upstreamtest.Start(t, upstreamtest.Options{})
	reg.Faults.Set(upstreamtest.Fault{Drop: true, Times: 1})
	_, err := ask(t, "GET", reg.URL()+"/v2/")
	require.ErrorIs(t, err, io.EOF)
	require.Equal(t, 200, get(t, reg.URL()+"/v2/").StatusCode)
}

func TestHeadMayLackDigestAndLength(t *testing.T) {
	t.Parallel()
	reg := upstreamtest.Start(t, upstreamtest.Options{})
	reg.Image("org/app", "v1", 100)
	reg.Faults.Set(upstreamtest.Fault{Kind: upstreamtest.ManifestHead, Chunked: true, Header: http.Header{"Docker-Content-Digest": nil}})
	r := head(t, reg.URL()+"/v2/org/app/manifests/v1")
	require.Equal(t, 200, r.StatusCode)
	require.Empty(t, r.Header.Get("Docker-Content-Digest"))
	require.EqualValues(t, -1, r.ContentLength)
}
