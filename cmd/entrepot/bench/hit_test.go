//go:build bench

package bench_test

import (
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/entrepot-io/entrepot/infra/testenv"
	"github.com/entrepot-io/entrepot/upstream/upstreamtest"
)

func TestMain(m *testing.M) { os.Exit(testenv.Main(m)) }

// TestWhatAHitSaves pulls one image with crane over a slow link: from the registry, then through entrepot (a miss), then
// through another replica on the same bucket (a hit).
func TestWhatAHitSaves(t *testing.T) {
	const (
		latency   = 100 * time.Millisecond // of each of the upstream's responses
		bandwidth = 5_000_000              // bytes per second and connection
	)
	// Registry and CDN share a host, since crane refuses a redirect to another literal loopback address.
	reg := upstreamtest.Start(t, upstreamtest.Options{Auth: true, CDN: true, CDNHost: "127.0.0.2"})
	image := reg.Image("library/app", "1", 64<<20, 16<<20, 1<<20)
	reg.Faults.Set(
		upstreamtest.Fault{Kind: upstreamtest.CDNGet, Delay: latency, BytesPerSecond: bandwidth},
		upstreamtest.Fault{Delay: latency},
	)
	s3 := testenv.StartMinIO(t)
	s3.CreateBucket(t, "entrepot")

	var total int64
	for _, layer := range image.Layers {
		total += layer.Size
	}
	fmt.Printf("\nimage of %d MiB in %d layers; upstream: %s latency, %d MB/s per connection\n",
		total>>20, len(image.Layers), latency, bandwidth/1_000_000)
	fmt.Println("| pull | seconds | bytes from upstream | requests to upstream |")
	fmt.Println("| --- | ---: | ---: | ---: |")
	measure := func(name, host string) upstreamtest.Counts {
		t.Helper()
		reg.ResetCounts()
		began := time.Now()
		pull(t, host+"/library/app:1")
		took, counts := time.Since(began), reg.Counts()
		requests := 0
		for _, n := range counts.Requests {
			requests += n
		}
		fmt.Printf("| %s | %.1f | %d | %d |\n", name, took.Seconds(), counts.BlobBytes, requests)
		return counts
	}
	measure("direct", reg.Host())
	_, first := startEntrepot(t, s3, "entrepot", reg.URL())
	measure("entrepot, miss", first)
	_, second := startEntrepot(t, s3, "entrepot", reg.URL())
	hit := measure("another replica, hit", second)
	if len(hit.Requests) != 0 {
		t.Errorf("the hit sent requests to the upstream: %v", hit.Requests)
	}
}

func pull(t *testing.T, image string) {
	t.Helper()
	out, err := exec.Command(testenv.Tool(t, "crane"), "pull", "--insecure", image, t.TempDir()+"/image.tar").CombinedOutput()
	if err != nil {
		t.Fatalf("crane pull %s: %v\n%s", image, err, out)
	}
}
