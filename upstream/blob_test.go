package upstream_test

import (
	"io"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/upstream"
	"github.com/entrepot-io/entrepot/upstream/upstreamtest"
)

func TestPartsReuseRedirect(t *testing.T) {
	reg := upstreamtest.Start(t, upstreamtest.Options{Auth: true, CDN: true})
	content := upstreamtest.Random(1, 100_000)
	d := reg.Blob("library/app", content)
	blob := connect(t, nil, reg.URL()).Blob(repository(t, "app"), d)
	for _, part := range [][2]int64{{0, 10}, {10, 50_000}, {99_999, 100_000}, {60_000, 0}} {
		got, err := blob.Open(t.Context(), part[0], part[1])
		require.NoError(t, err)
		assert.Equal(t, part[0], got.Offset)
		assert.EqualValues(t, 100_000, got.Size)
		end := part[1]
		if end == 0 {
			end = 100_000
		}
		hash, err := digest.FromReader(got.Body)
		require.NoError(t, err)
		got.Body.Close()
		want, err := digest.FromReader(io.NewSectionReader(content, part[0], end-part[0]))
		require.NoError(t, err)
		assert.Equal(t, want, hash)
	}
	counts := reg.Counts()
	assert.Equal(t, 1, counts.Requests[upstreamtest.BlobGet], "the redirect is followed once")
	assert.Equal(t, 4, counts.Requests[upstreamtest.CDNGet])
	assertWellBehaved(t, reg)
}

func TestConcurrentPartsShareRedirect(t *testing.T) {
	t.Parallel()
	for _, cdn := range []bool{true, false} {
		reg := upstreamtest.Start(t, upstreamtest.Options{Auth: true, CDN: cdn})
		d := reg.Blob("library/app", upstreamtest.Random(1, 1000))
		reg.Faults.Set(upstreamtest.Fault{Kind: upstreamtest.BlobGet, Delay: 100 * time.Millisecond})
		blob := connect(t, nil, reg.URL()).Blob(repository(t, "app"), d)
		var wg sync.WaitGroup
		for i := range int64(10) {
			wg.Go(func() {
				part, err := blob.Open(t.Context(), i*100, i*100+100)
				if assert.NoError(t, err) {
					assert.Equal(t, i*100, part.Offset)
					part.Body.Close()
				}
			})
		}
		wg.Wait()
		assert.True(t, blob.GivesRanges())
		want := map[bool]int{true: 1, false: 10}[cdn]
		assert.Equal(t, want, reg.Counts().Requests[upstreamtest.BlobGet], "with a CDN: %v", cdn)
		assertWellBehaved(t, reg)
	}
}

func TestExpiredURLIsReplaced(t *testing.T) {
	reg := upstreamtest.Start(t, upstreamtest.Options{CDN: true})
	d := reg.Blob("library/app", upstreamtest.Random(1, 1000))
	reg.Faults.Set(upstreamtest.Fault{Kind: upstreamtest.BlobGet, URLUses: 2})
	blob := connect(t, nil, reg.URL()).Blob(repository(t, "app"), d)
	for i := range int64(6) {
		part, err := blob.Open(t.Context(), i*100, i*100+100)
		require.NoError(t, err)
		n, err := io.Copy(io.Discard, part.Body)
		part.Body.Close()
		require.NoError(t, err)
		assert.EqualValues(t, 100, n)
	}
	assert.Equal(t, 3, reg.Counts().Requests[upstreamtest.BlobGet])
}

func TestIgnoredAndWrongRangesAreNoticed(t *testing.T) {
	reg := upstreamtest.Start(t, upstreamtest.Options{})
	d := reg.Blob("library/app", upstreamtest.Random(1, 1000))
	blob := connect(t, nil, reg.URL()).Blob(repository(t, "app"), d)

	reg.Faults.Set(upstreamtest.Fault{Kind: upstreamtest.BlobGet, IgnoreRange: true})
	part, err := blob.Open(t.Context(), 500, 600)
	require.NoError(t, err)
	part.Body.Close()
	assert.Zero(t, part.Offset)
	assert.EqualValues(t, 1000, part.Size)

	for name, fault := range map[string]upstreamtest.Fault{
		"shifted": {Kind: upstreamtest.BlobGet, ShiftRange: 7},
		"garbled": {Kind: upstreamtest.BlobGet, Header: http.Header{"Content-Range": {"bytes */*"}}},
		"missing": {Kind: upstreamtest.BlobGet, Header: http.Header{"Content-Range": nil}},
	} {
		reg.Faults.Set(fault)
		_, err = blob.Open(t.Context(), 500, 600)
		assert.ErrorIs(t, err, upstream.ErrWrongRange, name)
	}
}

func TestEachUpstreamHasOneLink(t *testing.T) {
	reg := upstreamtest.Start(t, upstreamtest.Options{})
	r := connect(t, nil, reg.URL())
	name, downloads := r.Blob(repository(t, "app"), digest.FromString("x")).Link()
	assert.Equal(t, r.Name(), name)
	assert.Equal(t, 32, downloads)
}

func TestImpossibleBlobSizesRejected(t *testing.T) {
	reg := upstreamtest.Start(t, upstreamtest.Options{})
	d := reg.Blob("library/app", upstreamtest.Random(1, 1000))
	blob := connect(t, nil, reg.URL()).Blob(repository(t, "app"), d)
	open := func() error {
		part, err := blob.Open(t.Context(), 0, 100)
		if err == nil {
			part.Body.Close()
		}
		return err
	}
	size := func() error {
		_, err := blob.Size(t.Context())
		return err
	}
	for _, claim := range []string{"4611686018427387904", "9223372036854775807", "40000000000000", "5497558138881"} {
		reg.Faults.Set(upstreamtest.Fault{Kind: upstreamtest.BlobGet, Header: http.Header{"Content-Range": {"bytes 0-99/" + claim}}})
		err := open()
		require.ErrorIs(t, err, upstream.ErrBadContent, claim)
		assert.ErrorContains(t, err, "5 TiB")
		reg.Faults.Set(upstreamtest.Fault{Kind: upstreamtest.BlobGet, IgnoreRange: true, Header: http.Header{"Content-Length": {claim}}})
		assert.ErrorIs(t, open(), upstream.ErrBadContent, claim)
		reg.Faults.Set(upstreamtest.Fault{Kind: upstreamtest.BlobGet, Header: http.Header{"Content-Range": {"bytes 0-0/" + claim}}})
		assert.ErrorIs(t, size(), upstream.ErrBadContent, claim)
	}
	reg.Faults.Set(upstreamtest.Fault{Kind: upstreamtest.BlobGet, Header: http.Header{"Content-Range": {"bytes 0-99/5497558138880"}}})
	assert.NoError(t, open(), "the largest possible size")
}

func TestCrawlingBodyIsAbandoned(t *testing.T) {
	t.Parallel()
	reg := upstreamtest.Start(t, upstreamtest.Options{})
	d := reg.Blob("library/app", upstreamtest.Random(1, 100_000))
	reg.Faults.Set(upstreamtest.Fault{Kind: upstreamtest.BlobGet, BytesPerSecond: 2000})
	part, err := connect(t, nil, reg.URL()).Blob(repository(t, "app"), d).Open(t.Context(), 0, 0)
	require.NoError(t, err)
	defer part.Body.Close()
	_, err = io.Copy(io.Discard, part.Body)
	assert.ErrorContains(t, err, "too slowly")
}
