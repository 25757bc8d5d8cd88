//go:build bench

package bench_test

import (
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/entrepot-io/entrepot/infra/testenv"
	"github.com/entrepot-io/entrepot/upstream/upstreamtest"
)

// layers are the sizes of the image's layers, 81 MiB in all. The upstream needs a bearer token and redirects to a CDN.
var layers = []int64{64 << 20, 16 << 20, 1 << 20}

const (
	imageName = "library/app"
	warmName  = "library/warm" // a small image to warm up a process
)

func newUpstream(t *testing.T) (*upstreamtest.Registry, int64) {
	t.Helper()
	reg := upstreamtest.Start(t, upstreamtest.Options{Auth: true, CDN: true})
	reg.Image(warmName, "1", 5000)
	reg.Image(imageName, "small", 5000)
	image := reg.Index(imageName, "1", layers...).Images[0]
	total := image.Config.Size
	for _, layer := range image.Layers {
		total += layer.Size
	}
	return reg, total
}

// buckets counts the buckets created, so that every cold pull has an empty one.
var buckets int

func newBucket(t *testing.T, s3 *testenv.S3) string {
	t.Helper()
	buckets++
	name := "bench" + strconv.Itoa(buckets)
	s3.CreateBucket(t, name)
	return name
}

// A contender is a registry or mirror to compare. start returns a host to pull from, with empty caches.
type contender struct {
	name  string
	start func(t *testing.T) string
}

func contenders(s3 *testenv.S3, reg *upstreamtest.Registry) []contender {
	return []contender{
		{"direct", func(*testing.T) string { return reg.Host() }},
		{"entrepot", func(t *testing.T) string {
			_, host := startEntrepot(t, s3, newBucket(t, s3), reg.URL())
			return host
		}},
		{"distribution", func(t *testing.T) string { return startDistribution(t, s3, newBucket(t, s3), reg.URL()) }},
	}
}

// TestOneColdPull compares one client's cold pulls, and the times to the first byte of a cold blob. The contenders take
// turns, so that other load on the machine affects all of them.
func TestOneColdPull(t *testing.T) {
	for _, link := range []struct {
		name    string
		rounds  int
		latency time.Duration
		speed   int64  // bytes per second and connection; 0: no limit
		bars    string // the limits that entrepot should meet
	}{
		{"loopback, no limit", 7, 0, 0, "bars: entrepot at most 1.3x direct, not slower than distribution"},
		{"100 MB/s per connection, 1 ms latency", 7, time.Millisecond, 100_000_000, "bars: entrepot at most 1.3x direct, not slower than distribution"},
		{"5 MB/s per connection, 100 ms latency", 2, 100 * time.Millisecond, 5_000_000, "bar: entrepot at most 1/3.5 = 0.286x direct"},
	} {
		t.Run(link.name, func(t *testing.T) {
			s3 := testenv.StartMinIO(t)
			reg, _ := newUpstream(t)
			cold := reg.Blob(imageName, upstreamtest.Random(1000, 64<<20))
			reg.Faults.Set(
				upstreamtest.Fault{Kind: upstreamtest.CDNGet, Delay: link.latency, BytesPerSecond: link.speed},
				upstreamtest.Fault{Delay: link.latency},
			)
			all := contenders(s3, reg)
			times, firstBytes := map[string][]time.Duration{}, map[string][]time.Duration{}
			for range link.rounds {
				for _, c := range all {
					// The end of each subtest kills its processes, even if they are still busy.
					t.Run(c.name+" pull", func(t *testing.T) {
						host := c.start(t)
						mustPull(t, host, warmName, "1") // warm up the process; the image stays cold
						times[c.name] = append(times[c.name], mustPull(t, host, imageName, "1"))
					})
					t.Run(c.name+" first byte", func(t *testing.T) {
						host := c.start(t)
						mustPull(t, host, imageName, "small") // likewise, and fetch the token
						firstBytes[c.name] = append(firstBytes[c.name], mustGetFirstByte(t, host, imageName, "small", cold))
					})
				}
			}
			if t.Failed() {
				return
			}
			direct, firstByte := median(times["direct"]), median(firstBytes["direct"])
			fmt.Printf("\n%s, one client, cold, 81 MiB, median of %d (%s)\n", link.name, link.rounds, link.bars)
			fmt.Printf("bar: entrepot's first byte at most 50 ms plus one round trip after direct's: at most %.1f ms\n", milliseconds(firstByte+50*time.Millisecond+link.latency))
			fmt.Println("| | seconds | x direct | first byte, ms |")
			fmt.Println("| --- | ---: | ---: | ---: |")
			for _, c := range all {
				took := median(times[c.name])
				fmt.Printf("| %s | %.2f | %.2f | %.1f |\n", c.name, took.Seconds(), took.Seconds()/direct.Seconds(), milliseconds(median(firstBytes[c.name])))
			}
		})
	}
}

func milliseconds(d time.Duration) float64 { return d.Seconds() * 1000 }

func median(d []time.Duration) time.Duration {
	d = slices.Sorted(slices.Values(d))
	return d[len(d)/2]
}

// TestTwentyClientsOnTwoReplicas counts the upstream's bytes and requests when all clients pull one cold image concurrently.
func TestTwentyClientsOnTwoReplicas(t *testing.T) {
	const clients, replicas = 20, 2
	s3 := testenv.StartMinIO(t)
	reg, total := newUpstream(t)
	fmt.Printf("\n%d clients on %d replicas, cold, 81 MiB (bars: entrepot 1.00x, 2 manifest GETs)\n", clients, replicas)
	fmt.Println("| | upstream bytes / image | manifest GETs | slowest client, seconds |")
	fmt.Println("| --- | ---: | ---: | ---: |")
	for _, c := range []struct {
		name  string
		start func(bucket string) string
	}{
		{"entrepot", func(bucket string) string { _, host := startEntrepot(t, s3, bucket, reg.URL()); return host }},
		{"distribution", func(bucket string) string { return startDistribution(t, s3, bucket, reg.URL()) }},
	} {
		bucket := newBucket(t, s3)
		hosts := make([]string, replicas)
		for i := range hosts {
			hosts[i] = c.start(bucket)
		}
		reg.ResetCounts()
		var slowest time.Duration
		var mu sync.Mutex
		var wg sync.WaitGroup
		failed := 0
		for i := range clients {
			wg.Go(func() {
				took, err := pullAsDocker(t.Context(), hosts[i%replicas], imageName, "1")
				mu.Lock()
				defer mu.Unlock()
				slowest = max(slowest, took)
				if err != nil {
					failed++
					t.Logf("%s: %v", c.name, err)
				}
			})
		}
		wg.Wait()
		counts := reg.Counts()
		fmt.Printf("| %s | %.2f | %d | %.1f |\n", c.name, float64(counts.BlobBytes)/float64(total), counts.Requests[upstreamtest.ManifestGet], slowest.Seconds())
		if failed > 0 {
			fmt.Printf("(%s: %d of %d pulls failed)\n", c.name, failed, clients)
		}
		if c.name == "entrepot" && (counts.BlobBytes != total || failed > 0) {
			t.Errorf("entrepot fetched %d bytes for an image of %d bytes, and %d pulls failed", counts.BlobBytes, total, failed)
		}
	}
}

// TestFiftyColdBlobs measures the memory of a replica that fills many blobs concurrently.
func TestFiftyColdBlobs(t *testing.T) {
	const blobs, size = 50, 64 << 20
	s3 := testenv.StartMinIO(t)
	reg := upstreamtest.Start(t, upstreamtest.Options{CDN: true})
	var digests []string
	for i := range uint64(blobs) {
		digests = append(digests, reg.Blob(imageName, upstreamtest.Random(i, size)).String())
	}
	p, host := startEntrepot(t, s3, newBucket(t, s3), reg.URL())
	client := puller{client: newClient(), base: "http://" + host + "/v2/" + imageName}
	began := time.Now()
	var wg sync.WaitGroup
	var mu sync.Mutex
	var slowestHeaders time.Duration
	for _, d := range digests {
		wg.Go(func() {
			resp, err := client.open(t.Context(), "/blobs/"+d)
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			slowestHeaders = max(slowestHeaders, time.Since(began))
			mu.Unlock()
			if err := verify(resp.Body, d); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	peak := p.PeakMemory(t)
	fmt.Printf("\n%d cold concurrent blobs of %d MiB through one replica (bar: at most 256+100 MiB)\n", blobs, size>>20)
	fmt.Printf("| peak RSS, MiB | slowest headers, seconds | total, seconds | upstream bytes / blobs |\n| ---: | ---: | ---: | ---: |\n")
	fmt.Printf("| %d | %.1f | %.1f | %.2f |\n", peak>>20, slowestHeaders.Seconds(), time.Since(began).Seconds(), float64(reg.Counts().BlobBytes)/(blobs*size))
}
