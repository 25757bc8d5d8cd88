package handlers_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
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
	"github.com/entrepot-io/entrepot/bounded"
	"github.com/entrepot-io/entrepot/infra/testenv"
	"github.com/entrepot-io/entrepot/mirror"
	"github.com/entrepot-io/entrepot/upstream"
	"github.com/entrepot-io/entrepot/upstream/upstreamtest"
)

// serveStored is serve with the blob in the store. It observes the sockets.
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
		"an open range":           {"GET", []string{"Range", "bytes=5000000-"}, 206, size - 5_000_000},
		"a suffix":                {"GET", []string{"Range", "bytes=-1000000"}, 206, 1_000_000},
		"a range if unchanged":    {"GET", []string{"Range", "bytes=0-999999", "If-Range", etag}, 206, 1_000_000},
		"a range of another blob": {"GET", []string{"Range", "bytes=0-999999", "If-Range", `"another"`}, 200, size},
		"known to the client":     {"GET", []string{"If-None-Match", etag}, 304, 0},
		"a range behind the end":  {"GET", []string{"Range", "bytes=7000000-"}, 416, 0},
		"HEAD":                    {"HEAD", nil, 200, 0},
		"HEAD with a range":       {"HEAD", []string{"Range", "bytes=0-999999"}, 200, 0},
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
			// The client may have everything before the server has counted it.
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

// openFiles lists the objects below a folder that this process has open.
func openFiles(t *testing.T, folder string) (names []string) {
	t.Helper()
	links, err := filepath.Glob("/proc/self/fd/*")
	require.NoError(t, err)
	for _, link := range links {
		name, err := os.Readlink(link) // fails if the file was closed meanwhile
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
				// Bytes that arrive or leave together with headers pass through net/http's buffers. A short read may follow.
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
	d := reg.Blob("library/app", upstreamtest.Random(1, 10_000))
	goOn := make(chan struct{})
	reg.Faults.Set(upstreamtest.Fault{Kind: upstreamtest.BlobGet, Damage: upstreamtest.Stall, At: 100, Until: goOn})
	base, err := url.Parse(reg.URL())
	require.NoError(t, err)
	patient := upstream.Timeouts{IdleBody: time.Minute} // so that only goOn ends the stall
	f := serveWith(t, base, newFileStore(t), "", mirror.Config{Upstreams: newUpstreams(t, base, bounded.Unlimited(), patient)})
	ctx, cancel := context.WithTimeout(t.Context(), hang)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, f.URL+"/v2/app/blobs/"+d.String(), nil)
	require.NoError(t, err)
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	first := make([]byte, 100)
	_, err = io.ReadFull(resp.Body, first)
	require.NoError(t, err)
	close(goOn)
	rest, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	assert.Equal(t, d, digest.FromBytes(append(first, rest...)))
	assert.Equal(t, 1, reg.Counts().Requests[upstreamtest.BlobGet])
}
