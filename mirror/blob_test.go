package mirror_test

import (
	"context"
	"io"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/mirror"
	"github.com/entrepot-io/entrepot/upstream/upstreamtest"
)

func blobKey(d digest.Digest) string {
	return "public/blobs/" + d.Algorithm().String() + "/" + d.Encoded()
}

func TestBlobIsFetchedOnceThenServedFromBucket(t *testing.T) {
	for name, size := range map[string]int64{"empty": 0, "tiny": 10, "small": 100_000, "one segment": 5 << 20, "large": 23<<20 + 7} {
		for _, algorithm := range []digest.Algorithm{digest.SHA256, digest.SHA512} {
			t.Run(name+" "+algorithm.String(), func(t *testing.T) {
				t.Parallel()
				reg := upstreamtest.Start(t, upstreamtest.Options{Auth: true, CDN: true})
				d := reg.BlobAs(algorithm, "library/app", upstreamtest.Random(1, size))
				store, repo := newStore(t), repository(t, "app")
				r := startReplica(t, store, reg)
				for range 2 {
					got, n, err := r.read(t.Context(), repo, d)
					require.NoError(t, err)
					assert.Equal(t, d, got)
					assert.Equal(t, size, n)
				}
				r.Close() // waits until the fill has tidied up
				assert.Equal(t, []string{blobKey(d)}, keys(t, store, ""))
				got, _, err := startReplica(t, store, reg).read(t.Context(), repo, d)
				require.NoError(t, err)
				assert.Equal(t, d, got)
				assert.Equal(t, size, reg.Counts().BlobBytes)
				assert.Empty(t, reg.Counts().Violations)
			})
		}
	}
}

func TestConcurrentRequestsShareOneTransfer(t *testing.T) {
	reg := upstreamtest.Start(t, upstreamtest.Options{})
	const size = 12 << 20
	d := reg.Blob("library/app", upstreamtest.Random(1, size))
	reg.Faults.Set(upstreamtest.Fault{Kind: upstreamtest.BlobGet, BytesPerSecond: 20 << 20})
	r, repo := startReplica(t, newStore(t), reg), repository(t, "app")
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			got, _, err := r.read(t.Context(), repo, d)
			assert.NoError(t, err)
			assert.Equal(t, d, got)
		})
	}
	wg.Wait()
	assert.EqualValues(t, size, reg.Counts().BlobBytes)
}

func TestMissingBlobMayBeInAnotherRepository(t *testing.T) {
	reg := upstreamtest.Start(t, upstreamtest.Options{})
	d := reg.Blob("library/app", upstreamtest.Random(1, 100_000))
	slow := make(chan struct{})
	reg.Faults.Set(upstreamtest.Fault{Kind: upstreamtest.BlobGet, Repo: "other/thing", Hang: true, Until: slow})
	r := startReplica(t, newStore(t), reg)
	var asked sync.WaitGroup
	for range 5 {
		asked.Go(func() {
			_, _, err := r.read(t.Context(), repository(t, "other/thing"), d)
			failed := new(mirror.UpstreamError)
			if assert.ErrorAs(t, err, &failed) {
				assert.True(t, failed.NotFound())
			}
		})
	}
	require.Eventually(t, func() bool { return reg.Counts().Requests[upstreamtest.BlobGet] == 1 }, 10*time.Second, time.Millisecond)
	for range 5 {
		asked.Go(func() {
			got, _, err := r.read(t.Context(), repository(t, "app"), d)
			assert.NoError(t, err, "another request for the blob, in a repository without it, must not fail this one")
			assert.Equal(t, d, got)
		})
	}
	time.Sleep(50 * time.Millisecond) // until they have joined
	close(slow)
	asked.Wait()
	assert.Equal(t, 2, reg.Counts().Requests[upstreamtest.BlobGet], "one request for each repository")
}

func TestBytesFlowBeforeTheBlobIsComplete(t *testing.T) {
	reg := upstreamtest.Start(t, upstreamtest.Options{})
	const size = 12 << 20
	d := reg.Blob("library/app", upstreamtest.Random(1, size))
	goOn := make(chan struct{})
	reg.Faults.Set(upstreamtest.Fault{Kind: upstreamtest.BlobGet, Damage: upstreamtest.Stall, At: 7 << 20, Until: goOn})
	r, repo := startReplica(t, newStore(t), reg), repository(t, "app")
	blob, err := r.Blob(t.Context(), repo, d)
	require.NoError(t, err)
	assert.EqualValues(t, size, blob.Size)
	body, err := blob.Open(t.Context(), 0, 0)
	require.NoError(t, err)
	defer body.Close()
	_, err = io.CopyN(io.Discard, body, 7<<20)
	require.NoError(t, err, "the part that has arrived can be read")
	_, stored := blob.StoredAt()
	assert.False(t, stored)
	close(goOn)
	n, err := io.Copy(io.Discard, body)
	require.NoError(t, err)
	assert.EqualValues(t, 5<<20, n)
}

func TestFillOutlivesItsClient(t *testing.T) {
	reg := upstreamtest.Start(t, upstreamtest.Options{})
	d := reg.Blob("library/app", upstreamtest.Random(1, 12<<20))
	goOn := make(chan struct{})
	reg.Faults.Set(upstreamtest.Fault{Kind: upstreamtest.BlobGet, Damage: upstreamtest.Stall, At: 1000, Until: goOn})
	store, repo := newStore(t), repository(t, "app")
	r := startReplica(t, store, reg)
	ctx, leave := context.WithCancel(t.Context())
	blob, err := r.Blob(ctx, repo, d)
	require.NoError(t, err)
	body, err := blob.Open(ctx, 0, 0)
	require.NoError(t, err)
	_, err = io.ReadFull(body, make([]byte, 1000))
	require.NoError(t, err)
	leave()
	_, err = body.Read(make([]byte, 1))
	require.ErrorIs(t, err, context.Canceled)
	body.Close()
	close(goOn)
	assert.Eventually(t, func() bool { return len(keys(t, store, blobKey(d))) == 1 }, 10*time.Second, 10*time.Millisecond)
	assert.EqualValues(t, 12<<20, reg.Counts().BlobBytes)
}

func TestFillIsReadableFromAnyOffset(t *testing.T) {
	reg := upstreamtest.Start(t, upstreamtest.Options{})
	const size = 16<<20 + 3
	content := upstreamtest.Random(1, size)
	d := reg.Blob("library/app", content)
	reg.Faults.Set(upstreamtest.Fault{Kind: upstreamtest.BlobGet, BytesPerSecond: 16 << 20})
	r, repo := startReplica(t, newStore(t), reg), repository(t, "app")
	blob, err := r.Blob(t.Context(), repo, d)
	require.NoError(t, err)
	var wg sync.WaitGroup
	for _, part := range [][2]int64{{0, 10}, {5<<20 - 1, 2}, {5 << 20, 5 << 20}, {9 << 20, 0}, {size - 1, 1}, {size - 1, 0}, {size, 0}, {123, 9_999_999}} {
		wg.Go(func() {
			offset, length := part[0], part[1]
			body, err := blob.Open(t.Context(), offset, length)
			if !assert.NoError(t, err) {
				return
			}
			defer body.Close()
			got, err := digest.FromReader(body)
			assert.NoError(t, err)
			if length == 0 {
				length = size - offset
			}
			want, err := digest.FromReader(io.NewSectionReader(content, offset, length))
			assert.NoError(t, err)
			assert.Equal(t, want, got, "%d bytes from %d", length, offset)
		})
	}
	wg.Wait()
}

func TestBadBlobIsNeitherStoredNorCompleted(t *testing.T) {
	const large, small = 12 << 20, 100_000
	for name, fault := range map[string]upstreamtest.Fault{
		"a wrong first byte": {Damage: upstreamtest.Corrupt, At: 0},
		"a wrong last byte":  {Damage: upstreamtest.Corrupt, At: -1},
		"truncated":          {Damage: upstreamtest.Truncate, At: 50_000},
		"too long":           {Damage: upstreamtest.Pad, At: 10},
		"an HTML page":       {HTML: true},
		"chunked, truncated": {Chunked: true, Damage: upstreamtest.Truncate, At: 50_000},
	} {
		for _, size := range []int64{small, large} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				reg := upstreamtest.Start(t, upstreamtest.Options{})
				d := reg.Blob("library/app", upstreamtest.Random(1, size))
				fault := fault
				fault.Kind = upstreamtest.BlobGet
				if fault.At < 0 {
					fault.At += size
				}
				reg.Faults.Set(fault)
				store, repo := newStore(t), repository(t, "app")
				r := startReplica(t, store, reg)
				blob, err := r.Blob(t.Context(), repo, d)
				if err == nil {
					body, openErr := blob.Open(t.Context(), 0, 0)
					require.NoError(t, openErr)
					defer body.Close()
					var n int64
					n, err = io.Copy(io.Discard, body)
					assert.Less(t, n, blob.Size)
				}
				require.Error(t, err)
				assert.Eventually(t, func() bool { return r.FillCount() == 0 && len(keys(t, store, "")) == 0 },
					10*time.Second, 10*time.Millisecond, "what was stored of it is removed")

				reg.Faults.Clear()
				got, _, err := r.read(t.Context(), repo, d)
				require.NoError(t, err, "the next request starts afresh")
				assert.Equal(t, d, got)
			})
		}
	}
}

func TestBrokenTransferResumes(t *testing.T) {
	const size = 21 << 20
	for name, fault := range map[string]upstreamtest.Fault{
		"cut":                 {Damage: upstreamtest.Cut, At: 1_000_000},
		"stalled":             {Damage: upstreamtest.Stall, At: 3_000_000},
		"refused with 503":    {Status: http.StatusServiceUnavailable},
		"refused with 429":    {Status: http.StatusTooManyRequests, Header: http.Header{"Retry-After": {"1"}}},
		"the URL has expired": {Status: http.StatusForbidden, Times: 1},
		"dropped":             {Drop: true},
		"no response":         {Hang: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			reg := upstreamtest.Start(t, upstreamtest.Options{CDN: true})
			d := reg.Blob("library/app", upstreamtest.Random(1, size))
			fault := fault
			fault.Kind, fault.Skip = upstreamtest.CDNGet, 1
			// Slow, so that the next segment has not been requested when the transfer breaks.
			fault.BytesPerSecond = 4 << 20
			if fault.Times == 0 {
				fault.Times = 4
			}
			reg.Faults.Set(fault)
			got, n, err := startReplica(t, newStore(t), reg).read(t.Context(), repository(t, "app"), d)
			require.NoError(t, err)
			assert.Equal(t, d, got)
			assert.EqualValues(t, size, n)
			assert.Zero(t, reg.Faults.Left(), "the fault has hit")
			assert.EqualValues(t, size, reg.Counts().BlobBytes, "nothing is fetched twice")
		})
	}
}

func TestFillResumesAfterUpstreamOutage(t *testing.T) {
	t.Parallel()
	reg := upstreamtest.Start(t, upstreamtest.Options{})
	const size = 21 << 20
	d := reg.Blob("library/app", upstreamtest.Random(1, size))
	reg.Faults.Set(upstreamtest.Fault{Kind: upstreamtest.BlobGet, BytesPerSecond: 4 << 20})
	store, repo := newStore(t), repository(t, "app")
	r := startReplica(t, store, reg)
	blob, err := r.Blob(t.Context(), repo, d)
	require.NoError(t, err)
	body, err := blob.Open(t.Context(), 0, 0)
	require.NoError(t, err)
	defer body.Close()
	_, err = io.CopyN(io.Discard, body, 6<<20)
	require.NoError(t, err)
	reg.Stop()
	n, err := io.Copy(io.Discard, body)
	require.ErrorContains(t, err, "given up")
	assert.Less(t, n, int64(15<<20))

	reg.Faults.Clear()
	reg.ResetCounts()
	require.NoError(t, reg.Restart())
	got, _, err := startReplica(t, store, reg).read(t.Context(), repo, d)
	require.NoError(t, err)
	assert.Equal(t, d, got)
	assert.LessOrEqual(t, reg.Counts().BlobBytes, int64(size-5<<20), "what was stored is not fetched again")
}

func TestUpstreamWithoutRangesIsReadAsOneStream(t *testing.T) {
	const size = 21 << 20
	for name, fault := range map[string]upstreamtest.Fault{
		"ignored":       {IgnoreRange: true},
		"ignored later": {IgnoreRange: true, Skip: 2},
		"shifted":       {ShiftRange: 100, Times: 1},
		"shifted later": {ShiftRange: 100, Skip: 2, Times: 1},
		"refused":       {Status: http.StatusRequestedRangeNotSatisfiable, Times: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			reg := upstreamtest.Start(t, upstreamtest.Options{})
			d := reg.Blob("library/app", upstreamtest.Random(1, size))
			fault := fault
			fault.Kind = upstreamtest.BlobGet
			reg.Faults.Set(fault)
			got, _, err := startReplica(t, newStore(t), reg).read(t.Context(), repository(t, "app"), d)
			require.NoError(t, err)
			assert.Equal(t, d, got)
		})
	}
}

func TestBlobWithoutContentLengthIsServed(t *testing.T) {
	for _, size := range []int64{1000, 3 << 20} {
		reg := upstreamtest.Start(t, upstreamtest.Options{})
		d := reg.Blob("library/app", upstreamtest.Random(1, size))
		reg.Faults.Set(upstreamtest.Fault{Kind: upstreamtest.BlobGet, Chunked: true})
		got, n, err := startReplica(t, newStore(t), reg).read(t.Context(), repository(t, "app"), d)
		require.NoError(t, err)
		assert.Equal(t, d, got)
		assert.Equal(t, size, n)
	}
}

func TestBlobSizeNeedsNoTransfer(t *testing.T) {
	reg := upstreamtest.Start(t, upstreamtest.Options{CDN: true})
	d := reg.Blob("library/app", upstreamtest.Random(1, 50_000))
	store := newStore(t)
	r := startReplica(t, store, reg)
	size, err := r.StatBlob(t.Context(), repository(t, "app"), d)
	require.NoError(t, err)
	assert.EqualValues(t, 50_000, size)
	assert.LessOrEqual(t, reg.Counts().BlobBytes, int64(1), "one byte is enough to learn the size")
	assert.Empty(t, keys(t, store, ""))
	_, err = r.StatBlob(t.Context(), repository(t, "app"), digest.FromString("no such blob"))
	failed := new(mirror.UpstreamError)
	require.ErrorAs(t, err, &failed)
	assert.True(t, failed.NotFound())
}

func TestBlobRemovedFromBucketIsFetchedAgain(t *testing.T) {
	reg := upstreamtest.Start(t, upstreamtest.Options{})
	d := reg.Blob("library/app", upstreamtest.Random(1, 50_000))
	store, repo := newStore(t), repository(t, "app")
	r := startReplica(t, store, reg)
	_, _, err := r.read(t.Context(), repo, d)
	require.NoError(t, err)
	require.Eventually(t, func() bool { return r.FillCount() == 0 }, 10*time.Second, time.Millisecond)
	require.NoError(t, store.Delete(t.Context(), blobKey(d)))
	_, _, err = r.read(t.Context(), repo, d)
	require.Error(t, err, "the presence cache is out of date")
	got, _, err := r.read(t.Context(), repo, d)
	require.NoError(t, err)
	assert.Equal(t, d, got)
}

func TestSlowReaderDoesNotSlowFill(t *testing.T) {
	reg := upstreamtest.Start(t, upstreamtest.Options{})
	const size = 40 << 20
	content := upstreamtest.Random(1, size)
	d := reg.Blob("library/app", content)
	store, repo := newStore(t), repository(t, "app")
	r := startReplica(t, store, reg)
	blob, err := r.Blob(t.Context(), repo, d)
	require.NoError(t, err)
	slow, err := blob.Open(t.Context(), 0, 0)
	require.NoError(t, err)
	defer slow.Close()
	_, err = io.ReadFull(slow, make([]byte, 10))
	require.NoError(t, err)
	require.Eventually(t, func() bool { return r.FillCount() == 0 }, 20*time.Second, time.Millisecond, "the fill does not wait for the slow reader")
	rest, err := digest.FromReader(slow)
	require.NoError(t, err, "the slow reader continues from the bucket")
	want, err := digest.FromReader(io.NewSectionReader(content, 10, size-10))
	require.NoError(t, err)
	assert.Equal(t, want, rest)
}
