package handlers_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awscredentials "github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/backend/fs"
	"github.com/entrepot-io/entrepot/backend/minio"
	"github.com/entrepot-io/entrepot/backend/s3"
	"github.com/entrepot-io/entrepot/infra/testenv"
	"github.com/entrepot-io/entrepot/upstream/upstreamtest"
)

// serveStored is a front whose sockets are seen, and which has the blob in its store.
func (w *wires) serveStored(t *testing.T, reg *upstreamtest.Registry, store backend.Store, d digest.Digest) front {
	t.Helper()
	inner := serve(t, reg, store, "never")
	server := httptest.NewUnstartedServer(inner.Config.Handler)
	server.Listener = clients{server.Listener, w}
	server.Start()
	t.Cleanup(server.Close)
	f := front{server, inner.core}
	f.get(t, "/v2/app/blobs/"+d.String())
	require.Eventually(t, func() bool { return f.core.FillCount() == 0 }, 10*time.Second, time.Millisecond)
	w.reset()
	return f
}

func TestFileSentWithoutReadingIt(t *testing.T) {
	reg := upstreamtest.Start(t, upstreamtest.Options{})
	const size = 6<<20 + 5
	d := reg.Blob("library/app", upstreamtest.Random(1, size))
	var w wires
	f := w.serveStored(t, reg, newFileStore(t), d)
	path, etag := "/v2/app/blobs/"+d.String(), `"`+d.String()+`"`
	for name, c := range map[string]struct {
		method string
		header []string
		status int
		length int64 // of the body
	}{
		"all":                     {"GET", nil, 200, size},
		"a range":                 {"GET", []string{"Range", "bytes=1000001-3000000"}, 206, 2_000_000},
		"from somewhere":          {"GET", []string{"Range", "bytes=5000000-"}, 206, size - 5_000_000},
		"the end":                 {"GET", []string{"Range", "bytes=-1000000"}, 206, 1_000_000},
		"a range of the same":     {"GET", []string{"Range", "bytes=0-999999", "If-Range", etag}, 206, 1_000_000},
		"a range of another":      {"GET", []string{"Range", "bytes=0-999999", "If-Range", `"another"`}, 200, size},
		"what the client has":     {"GET", []string{"If-None-Match", etag}, 304, 0},
		"what cannot be had":      {"GET", []string{"Range", "bytes=7000000-"}, 416, 0},
		"only what there is":      {"HEAD", nil, 200, 0},
		"HEAD, which has no part": {"HEAD", []string{"Range", "bytes=0-999999"}, 200, 0},
	} {
		t.Run(name, func(t *testing.T) {
			w.reset()
			a := f.do(t, c.method, path, c.header...)
			require.Equal(t, c.status, a.StatusCode)
			if c.method == "HEAD" {
				assert.EqualValues(t, size, a.ContentLength)
			}
			if c.length > 0 {
				assert.Len(t, a.body, int(c.length))
			}
			// The client may have it all a little before the server knows that.
			require.EventuallyWithT(t, func(t *assert.CollectT) {
				sent, _ := w.seen()
				assert.GreaterOrEqual(t, sent, c.length-besides)
				assert.LessOrEqual(t, sent, c.length)
			}, 10*time.Second, time.Millisecond)
		})
	}
}

func TestLeavingClientLeavesNoFileOpen(t *testing.T) {
	reg := upstreamtest.Start(t, upstreamtest.Options{})
	const size = 48 << 20 // more than the sockets take
	d := reg.Blob("library/app", upstreamtest.Random(1, size))
	folder := t.TempDir()
	store, err := fs.Open(folder)
	require.NoError(t, err)
	var w wires
	f := w.serveStored(t, reg, store, d)
	for range 5 {
		resp, err := http.Get(f.URL + "/v2/app/blobs/" + d.String())
		require.NoError(t, err)
		_, err = io.CopyN(io.Discard, resp.Body, 1<<20)
		require.NoError(t, err)
		require.NotEmpty(t, openFiles(t, folder))
		resp.Body.Close()
	}
	require.Eventually(t, func() bool { return len(openFiles(t, folder)) == 0 }, 10*time.Second, time.Millisecond)
	assert.Equal(t, d, digest.FromBytes(f.get(t, "/v2/app/blobs/"+d.String()).body))
}

// openFiles are the objects below a folder that this process has open.
func openFiles(t *testing.T, folder string) (names []string) {
	t.Helper()
	links, err := filepath.Glob("/proc/self/fd/*")
	require.NoError(t, err)
	for _, link := range links {
		name, err := os.Readlink(link) // fails for what has been closed meanwhile
		if err == nil && strings.HasPrefix(name, filepath.Join(folder, "objects")) {
			names = append(names, name)
		}
	}
	return names
}

func TestBucketBodyCopiedOnce(t *testing.T) {
	server := testenv.StartMinIO(t)
	reg := upstreamtest.Start(t, upstreamtest.Options{})
	const size = 6<<20 + 5
	d := reg.Blob("library/app", upstreamtest.Random(1, size))
	for name, open := range map[string]func(*testing.T, *wires, string) (backend.Store, error){
		"minio": func(_ *testing.T, w *wires, bucket string) (backend.Store, error) {
			return minio.Open(minio.Config{
				Endpoint: server.Addr, Insecure: true, Bucket: bucket,
				Credentials: credentials.NewStaticV4(server.AccessKey, server.SecretKey, ""),
				Transport: func(next http.RoundTripper) http.RoundTripper {
					next.(*http.Transport).DialContext = w.dial
					return next
				},
			})
		},
		"s3": func(t *testing.T, w *wires, bucket string) (backend.Store, error) {
			return s3.Open(t.Context(), s3.Config{Bucket: bucket, PathStyle: true, AWS: aws.Config{
				Region: server.Region, BaseEndpoint: &server.Endpoint,
				Credentials: awscredentials.NewStaticCredentialsProvider(server.AccessKey, server.SecretKey, ""),
				HTTPClient:  &http.Client{Transport: &http.Transport{DialContext: w.dial}},
			}})
		},
	} {
		t.Run(name, func(t *testing.T) {
			var w wires
			server.CreateBucket(t, name+"-once")
			store, err := open(t, &w, name+"-once")
			require.NoError(t, err)
			f := w.serveStored(t, reg, store, d)
			for _, from := range []int64{0, 1000} {
				w.reset()
				a := f.get(t, "/v2/app/blobs/"+d.String(), "Range", fmt.Sprintf("bytes=%d-", from))
				require.Equal(t, http.StatusPartialContent, a.StatusCode)
				require.Len(t, a.body, int(size-from))
				// What comes along with the store's headers, and goes along with entrepot's, passes through net/http's buffers,
				// and perhaps a short read after them.
				const besides = 64 << 10
				require.EventuallyWithT(t, func(t *assert.CollectT) {
					_, asRead := w.seen()
					assert.GreaterOrEqual(t, asRead, size-from-besides)
				}, 10*time.Second, time.Millisecond)
			}
		})
	}
}

func TestFirstBytesOfFillSentAtOnce(t *testing.T) {
	reg := upstreamtest.Start(t, upstreamtest.Options{})
	f := serve(t, reg, newFileStore(t), "")
	// The upstream stops after some bytes, and is given up soon: then there are more. On a machine that has other things to
	// do that may be before they are looked for here, but not each time.
	inTime := 0
	for seed := range uint64(5) {
		reg.ResetCounts()
		d := reg.Blob("library/app", upstreamtest.Random(seed, 10_000))
		reg.Faults.Set(upstreamtest.Fault{Kind: upstreamtest.BlobGet, Damage: upstreamtest.Stall, At: 100, Times: 1})
		resp, err := http.Get(f.URL + "/v2/app/blobs/" + d.String())
		require.NoError(t, err)
		first := make([]byte, 100)
		_, err = io.ReadFull(resp.Body, first)
		require.NoError(t, err)
		if reg.Counts().Requests[upstreamtest.BlobGet] == 1 {
			inTime++
		}
		rest, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		resp.Body.Close()
		assert.Equal(t, d, digest.FromBytes(append(first, rest...)))
	}
	assert.Positive(t, inTime, "they come only with more behind them")
}
