//go:build e2e

package stores_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/entrepot-io/entrepot/infra/testenv"
	"github.com/entrepot-io/entrepot/upstream/upstreamtest"
)

const largeLayer, largeBlob = 5*segment + 1234, 7*segment + 123

// TestOn runs all tests on each server.
func TestOn(t *testing.T) {
	for column, s := range servers {
		if s.usual {
			continue // make test and make e2e cover it
		}
		t.Run(s.name, func(t *testing.T) {
			server := s.start(t)
			t.Run("abilities", func(t *testing.T) { t.Parallel(); check(t, server, column) })
			for library := range libraries {
				for name, test := range map[string]func(*testing.T, *cluster){
					"cold and warm pull": coldAndWarm,
					"two replicas":       twoReplicas,
					"killed leader":      killedLeader,
					"corrupt upstream":   corruptUpstream,
				} {
					t.Run(library+"/"+name, func(t *testing.T) {
						t.Parallel()
						test(t, newCluster(t, server, library))
					})
				}
			}
		})
	}
}

// image pushes an image with a large, a small and a tiny layer to the upstream. It returns its blobs and their total size.
func (c *cluster) image(t *testing.T) (blobs []digest.Digest, size int64) {
	t.Helper()
	image := c.upstream.Image(repository, "1", largeLayer, 1<<20, 3000)
	for _, blob := range append(image.Layers, image.Config) {
		blobs, size = append(blobs, blob.Digest), size+blob.Size
	}
	return blobs, size
}

// crane pulls the image into a folder. crane verifies all digests.
func (r *replica) crane(ctx context.Context, tool, folder string) error {
	pull := exec.CommandContext(ctx, tool, "pull", "--format", "oci", r.addr+"/"+repository+":1", folder)
	if out, err := pull.CombinedOutput(); err != nil {
		return fmt.Errorf("crane pull: %w\n%s", err, out)
	}
	return nil
}

func coldAndWarm(t *testing.T, c *cluster) {
	blobs, size := c.image(t)
	crane, first := testenv.Tool(t, "crane"), c.start(t, 1)[0]
	require.NoError(t, first.crane(t.Context(), crane, t.TempDir()), "cold")
	c.bucket.checkSettled(t, blobs...)
	assert.Equal(t, size, c.upstream.Counts().BlobBytes, "bytes from the upstream")

	for name, r := range map[string]*replica{"same": first, "new": c.start(t, 1)[0]} {
		require.NoError(t, r.crane(t.Context(), crane, t.TempDir()), "warm, from the %s replica", name)
		for _, d := range blobs {
			r.checkRedirect(t, c.public, d)
		}
	}
	assert.Equal(t, size, c.upstream.Counts().BlobBytes, "bytes from the upstream")
	assert.Empty(t, c.upstream.Counts().Violations)
	assert.Empty(t, logs(t, []*replica{first}))
}

// checkRedirect checks that a blob redirects to the store, and that the store serves it whole and in ranges.
func (r *replica) checkRedirect(t *testing.T, public string, d digest.Digest) {
	t.Helper()
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Get(r.blobURL(d))
	require.NoError(t, err)
	resp.Body.Close()
	require.Equal(t, http.StatusTemporaryRedirect, resp.StatusCode)
	url := resp.Header.Get("Location")
	require.True(t, strings.HasPrefix(url, public+"/"), url)
	got := download(t.Context(), url)
	require.NoError(t, got.err)
	require.Equal(t, d, got.digest)

	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	require.NoError(t, err)
	req.Header.Set("Range", "bytes=1-")
	resp, err = client.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	n, err := io.Copy(io.Discard, resp.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusPartialContent, resp.StatusCode)
	require.Equal(t, got.size-1, n)
}

func (r *replica) blobURL(d digest.Digest) string {
	return fmt.Sprintf("http://%s/v2/%s/blobs/%s", r.addr, repository, d)
}

// downloaded is the result of a download.
type downloaded struct {
	digest digest.Digest
	size   int64
	err    error
}

func download(ctx context.Context, url string) (got downloaded) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return downloaded{err: err}
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return downloaded{err: err}
	}
	defer resp.Body.Close()
	sum := sha256.New()
	got.size, got.err = io.Copy(sum, resp.Body)
	got.digest = digest.NewDigest(digest.SHA256, sum)
	if resp.StatusCode != http.StatusOK && got.err == nil {
		got.err = fmt.Errorf("status %s", resp.Status)
	}
	return got
}

func twoReplicas(t *testing.T, c *cluster) {
	blobs, size := c.image(t)
	crane, replicas := testenv.Tool(t, "crane"), c.start(t, 2)
	clients, ctx := errgroup.WithContext(t.Context())
	for i := range 4 {
		folder := t.TempDir()
		clients.Go(func() error { return replicas[i%2].crane(ctx, crane, folder) })
	}
	require.NoError(t, clients.Wait(), logs(t, replicas))
	c.bucket.checkSettled(t, blobs...)
	counts := c.upstream.Counts()
	assert.Equal(t, size, counts.BlobBytes, "bytes from the upstream")
	assert.Equal(t, 1, counts.Requests[upstreamtest.ManifestGet])
	assert.Empty(t, counts.Violations)
	assert.Empty(t, logs(t, replicas))
}

// killedLeader kills the leader in the middle of a fill.
func killedLeader(t *testing.T, c *cluster) {
	content := upstreamtest.Random(1, largeBlob)
	blob := c.upstream.Blob(repository, content)
	replicas := c.start(t, 2)
	leader, follower := replicas[0], replicas[1]

	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	go download(ctx, leader.blobURL(blob)) // ends with the leader
	waitFor(t, "a segment in the bucket", time.Minute, func() bool { return c.bucket.segments(t, blob) > 0 })
	result := make(chan downloaded, 1)
	go func() { result <- download(ctx, follower.blobURL(blob)) }()
	waitFor(t, "three segments in the bucket", time.Minute, func() bool { return c.bucket.segments(t, blob) >= 3 })
	leader.Kill()

	got := <-result
	require.NoError(t, got.err, "after %d bytes\n%s", got.size, logs(t, replicas))
	require.Equal(t, blob, got.digest)
	c.bucket.checkSettled(t, blob)
	// The leader may have lost one segment per connection, and one that it was storing.
	sent := c.upstream.Counts().BytesByDigest[blob]
	t.Logf("the upstream sent %.2f times the blob", float64(sent)/largeBlob)
	assert.LessOrEqual(t, sent, int64(largeBlob+(connections+1)*segment), "bytes from the upstream")
	got = download(t.Context(), follower.blobURL(blob))
	require.NoError(t, got.err)
	require.Equal(t, blob, got.digest, "from the bucket")
}

// corruptUpstream makes the upstream send blobs with a wrong byte. rclone does not verify the hash of a PUT, so entrepot
// itself must not store them.
func corruptUpstream(t *testing.T, c *cluster) {
	r := c.start(t, 1)[0]
	for name, size := range map[string]int64{"small": 1 << 20, "large": 2*segment + 123} {
		blob := c.upstream.Blob(repository, upstreamtest.Random(1, size))
		c.upstream.Faults.Set(upstreamtest.Fault{Kind: upstreamtest.CDNGet, Digest: blob, Damage: upstreamtest.Corrupt, At: size / 2})
		got := download(t.Context(), r.blobURL(blob))
		assert.Error(t, got.err, "%s: %d bytes of %s", name, got.size, got.digest)
		c.bucket.checkSettled(t)
		assert.Empty(t, c.bucket.list(t, "public/blobs/"), name)
	}
}
