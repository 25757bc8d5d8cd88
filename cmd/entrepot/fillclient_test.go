package main_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/upstream/upstreamtest"
)

// coldBlob is a blob that only the upstream has.
type coldBlob struct {
	digest  digest.Digest
	content upstreamtest.Content
}

// blob adds a random blob to the upstream. Different seeds make different blobs.
func (w *cluster) blob(seed uint64, size int64) coldBlob {
	content := upstreamtest.Random(seed, size)
	return coldBlob{w.upstream.Blob(fillRepo, content), content}
}

func (b coldBlob) size() int64        { return b.content.Size() }
func (b coldBlob) path() string       { return "/v2/" + fillRepo + "/blobs/" + b.digest.String() }
func (b coldBlob) key() string        { return "public/blobs/sha256/" + b.digest.Encoded() }
func (b coldBlob) fillPrefix() string { return "public/fills/sha256/" + b.digest.Encoded() + "/" }

// part returns the digest of length bytes from offset on.
func (b coldBlob) part(t *testing.T, offset, length int64) string {
	t.Helper()
	return digestOfReader(t, io.NewSectionReader(b.content, offset, length))
}

// download is a client that reads a blob, or the end of one.
type download struct {
	blob   coldBlob
	offset int64 // of the first requested byte
	cancel context.CancelFunc
	pace   atomic.Int64 // bytes per second; 0 means no limit

	answered chan struct{} // closed when resp or err is set
	resp     *http.Response
	began    time.Time
	waited   time.Duration // for the headers

	received atomic.Int64  // bytes
	ended    chan struct{} // closed at the end, when sum and err are set
	sum      string
	err      error
}

// get starts the download of a blob.
func (r *replica) get(t *testing.T, b coldBlob) *download { t.Helper(); return r.getFrom(t, b, 0, 0) }

// getFrom starts the download of a blob from an offset on, by a range if the offset is not 0. The client reads pace bytes
// per second; 0 means no limit.
func (r *replica) getFrom(t *testing.T, b coldBlob, offset, pace int64) *download {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background()) // the download may continue during the test's cleanup
	d := &download{
		blob: b, offset: offset, cancel: cancel, began: time.Now(),
		answered: make(chan struct{}), ended: make(chan struct{}),
	}
	d.pace.Store(pace)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.url(b.path()), nil)
	require.NoError(t, err)
	if offset > 0 {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", offset))
	}
	go d.run(req)
	t.Cleanup(d.leave)
	return d
}

func (d *download) run(req *http.Request) {
	defer close(d.ended)
	d.resp, d.err = patient.Do(req)
	d.waited = time.Since(d.began)
	close(d.answered)
	if d.err != nil {
		return
	}
	defer d.resp.Body.Close()
	sum := sha256.New()
	d.err = d.read(req.Context(), sum)
	d.sum = "sha256:" + hex.EncodeToString(sum.Sum(nil))
}

func (d *download) read(ctx context.Context, sum hash.Hash) error {
	buf := make([]byte, 64<<10)
	for {
		limit := int64(len(buf))
		if pace := d.pace.Load(); pace > 0 {
			limit = min(limit, max(1, pace/20))
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(50 * time.Millisecond):
			}
		}
		n, err := d.resp.Body.Read(buf[:limit])
		sum.Write(buf[:n])
		d.received.Add(int64(n))
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// leave disconnects the client.
func (d *download) leave() {
	d.cancel()
	<-d.ended
}

// headers waits for the response's headers.
func (d *download) headers(t *testing.T) *http.Response {
	t.Helper()
	<-d.answered // within the 20 s that the client patient allows
	if d.resp == nil {
		t.Fatalf("no headers after %s: %v", d.waited, d.err)
	}
	return d.resp
}

// has waits until the client has n bytes.
func (d *download) has(t *testing.T, n int64) {
	t.Helper()
	waitFor(t, fmt.Sprintf("%d bytes at a client", n), func() bool { return d.received.Load() >= n || d.isOver() })
	if got := d.received.Load(); got < n {
		t.Fatalf("the download ended after %d bytes, want %d: %v", got, n, d.err)
	}
}

func (d *download) isOver() bool {
	select {
	case <-d.ended:
		return true
	default:
		return false
	}
}

// wait waits for the download's end, successful or not.
func (d *download) wait(t *testing.T) {
	t.Helper()
	waitFor(t, "the end of a download", d.isOver)
}

// complete waits for the download's end and fails the test unless the client has all bytes of the blob.
func (d *download) complete(t *testing.T) {
	t.Helper()
	d.wait(t)
	require.NoError(t, d.err, "after %d bytes of %d", d.received.Load(), d.blob.size()-d.offset)
	status := http.StatusOK
	if d.offset > 0 {
		status = http.StatusPartialContent
		assert.Equal(t, fmt.Sprintf("bytes %d-%d/%d", d.offset, d.blob.size()-1, d.blob.size()), d.resp.Header.Get("Content-Range"))
	}
	assert.Equal(t, status, d.resp.StatusCode)
	length := d.blob.size() - d.offset
	assert.Equal(t, length, d.resp.ContentLength)
	require.Equal(t, length, d.received.Load())
	require.Equal(t, d.blob.part(t, d.offset, length), d.sum, "digest of the received bytes")
	if via := d.resp.Request.Response; via == nil { // not redirected to the bucket
		assert.Equal(t, d.blob.digest.String(), d.resp.Header.Get("Docker-Content-Digest"))
	}
}

// right waits for the download's end and fails the test unless the received bytes are the blob's.
func (d *download) right(t *testing.T) {
	t.Helper()
	d.wait(t)
	if d.resp != nil && d.resp.StatusCode/100 == 2 {
		require.Equal(t, d.blob.part(t, d.offset, d.received.Load()), d.sum, "digest of the first %d bytes", d.received.Load())
	}
}

// incomplete waits for the download's end and fails the test if the response seemed complete.
func (d *download) incomplete(t *testing.T) {
	t.Helper()
	d.wait(t)
	if d.err == nil && d.resp.StatusCode/100 == 2 {
		t.Errorf("complete response with status %d and %d wrong bytes", d.resp.StatusCode, d.received.Load())
	}
}
