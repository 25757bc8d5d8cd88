//go:build e2e

package e2e_test

import (
	"os/exec"
	"strings"
	"testing"
	"time"
)

// A client is a real client with its own storage, configured to pull one image through the mirror.
type client struct {
	version string
	pull    func(t testing.TB)
	run     func(t testing.TB) string // runs the pulled image and returns its output
	remove  func(t testing.TB)        // removes the image completely, so that the next pull transfers all of it
}

// A scenario pulls and runs an image twice. The second pull must succeed without the upstream, from the bucket.
type scenario struct {
	mirror       *mirror
	registry     string // upstream of the image
	image        image
	client       client
	blobStatus   int  // status of blob GETs in the second pull: 307, or 200 if the store cannot redirect
	freshReplica bool // the second pull goes to a new replica
}

func (s scenario) run(t *testing.T) {
	t.Helper()
	pushes := s.mirror.upstreamRequests(t)
	began := time.Now()
	cold := s.client.pullAndRun(t, s.image)
	pulled := time.Now()
	first := s.mirror.requestsSince(t, began, s.image)
	s.checkRegistry(t, first)
	s.checkSentOnce(t)
	s.client.remove(t)
	s.mirror.stopUpstreams(t)
	before := s.mirror.upstreamRequests(t)
	if s.freshReplica {
		s.mirror.replace(t)
	}

	time.Sleep(time.Until(pulled.Add(tagTTL + 100*time.Millisecond))) // until the tag is stale
	again := time.Now()
	warm := s.client.pullAndRun(t, s.image)
	second := s.mirror.requestsSince(t, again, s.image)
	s.checkRegistry(t, second)
	gets, right := s.checkBlobs(t, second)
	later := s.mirror.upstreamRequests(t) - before
	if later != 0 {
		t.Errorf("the stopped upstream served %d requests", later)
	}
	t.Logf("FIGURES %s: image of %d blobs; first pull %s, %d requests to the mirror, %d to the upstream; second pull %s, %d requests to the mirror, %d for blobs, %d of these with status %d, %d requests to the upstream",
		s.client.version, len(s.image.blobs),
		cold.Round(time.Millisecond), len(first), before-pushes,
		warm.Round(time.Millisecond), len(second), gets, right, s.blobStatus, later)
}

// pullAndRun pulls and runs the image, checks its output, and returns the duration of the pull.
func (c client) pullAndRun(t *testing.T, img image) time.Duration {
	t.Helper()
	start := time.Now()
	c.pull(t)
	took := time.Since(start)
	if got := c.run(t); got != img.output {
		t.Fatalf("the container printed %q, want %q", got, img.output)
	}
	return took
}

// checkSentOnce checks that the upstream sent every byte of the image's blobs once.
func (s scenario) checkSentOnce(t *testing.T) {
	t.Helper()
	for digest, size := range s.image.blobs {
		if sent := s.mirror.bytesSent(t, digest); sent != size {
			t.Errorf("the upstream sent %d bytes of blob %s, want %d", sent, digest, size)
		}
	}
}

// checkBlobs checks that every GET of a blob has the right status and requests a blob of the image. It returns the number
// of GETs, and of those with the right status.
func (s scenario) checkBlobs(t *testing.T, requests []request) (gets, right int) {
	t.Helper()
	for _, r := range requests {
		digest, ok := r.blobDigest()
		if !ok {
			continue
		}
		gets++
		if r.Status == s.blobStatus {
			right++
		} else {
			t.Errorf("GET %s: status %d, want %d", r.Path, r.Status, s.blobStatus)
		}
		if s.image.blobs[digest] == 0 && s.image.others[digest] == 0 {
			t.Errorf("GET %s: the image has no such blob", r.Path)
		}
	}
	return gets, right
}

// checkRegistry checks that the mirror assigned all requests for manifests and blobs to the image's registry.
func (s scenario) checkRegistry(t *testing.T, requests []request) {
	t.Helper()
	for _, r := range requests {
		if (strings.Contains(r.Path, "/blobs/") || strings.Contains(r.Path, "/manifests/")) && r.Registry != s.registry {
			t.Errorf("%s %s: registry %q, want %q", r.Method, r.Path, r.Registry, s.registry)
		}
	}
}

// output runs a command and returns its standard output.
func output(t testing.TB, cmd *exec.Cmd) string {
	t.Helper()
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s%s", strings.Join(cmd.Args, " "), err, out, stderr.String())
	}
	return string(out)
}

// wantEmpty fails the test unless a command, which lists a client's content, prints nothing.
func wantEmpty(t testing.TB, cmd *exec.Cmd) {
	t.Helper()
	if left := strings.TrimSpace(output(t, cmd)); left != "" {
		t.Fatalf("not removed, according to %s:\n%s", strings.Join(cmd.Args, " "), left)
	}
}
