//go:build bench

package bench_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/entrepot-io/entrepot/infra/testenv"
	"github.com/entrepot-io/entrepot/upstream/upstreamtest"
)

// startBare starts the baseline, command bare.
func startBare(t *testing.T) (host string) {
	t.Helper()
	addr := testenv.FreeAddr(t, "127.0.0.1")
	testenv.Start(t, "bare", nil, buildBare(t), addr).WaitHTTP(t, "http://"+addr+"/v2/")
	return addr
}

// TestHotHits measures hits of content that is in the bucket and in memory. The servers take turns, so that other load on
// the machine affects all of them.
func TestHotHits(t *testing.T) {
	const rounds, seconds = 3, 3
	s3 := testenv.StartMinIO(t)
	reg := upstreamtest.Start(t, upstreamtest.Options{})
	image := reg.Image(imageName, "1", 1<<20)
	admin := testenv.FreeAddr(t, "127.0.0.1")
	_, entrepot := startEntrepot(t, s3, newBucket(t, s3), reg.URL(), "ENTREPOT_ADMIN_LISTEN="+admin)
	hosts := map[string]string{
		"echo, constant 307": startBare(t),
		"entrepot":           entrepot,
		"distribution":       startDistribution(t, s3, newBucket(t, s3), reg.URL()),
	}
	for _, name := range []string{"entrepot", "distribution"} {
		mustPull(t, hosts[name], imageName, "1")
	}
	base := "/v2/" + imageName
	blob, manifest := base+"/blobs/"+image.Layers[0].Digest.String(), base+"/manifests/"+image.Digest.String()
	measured := map[string]map[string][]throughput{}
	loads := []load{
		{"blob, redirected", "GET", blob, "", 3},
		{"blob, HEAD", "HEAD", blob, "", 2},
		{"manifest by digest", "GET", manifest, "", 2},
		{"manifest by tag", "GET", base + "/manifests/1", "", 2},
		{"manifest, 304 by ETag", "GET", manifest, `"` + image.Digest.String() + `"`, 3},
	}
	for range rounds {
		for _, l := range loads {
			if measured[l.name] == nil {
				measured[l.name] = map[string][]throughput{}
			}
			for name, host := range hosts {
				request := l
				if name != "entrepot" {
					request.status = 0
				}
				measured[l.name][name] = append(measured[l.name][name], request.run(t, host, seconds))
			}
		}
	}
	fmt.Printf("\nhits, 32 connections, medians of %d x %d s (bars for redirects: 0.6x echo, 50x distribution, p99 at most 3x echo)\n", rounds, seconds)
	fmt.Println("| | echo, constant 307 | entrepot | distribution | x echo | x distribution | p50 echo | p50 entrepot | p99 echo | p99 entrepot |")
	fmt.Println("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
	for _, l := range loads {
		bare, hit, peer := medianThroughput(measured[l.name]["echo, constant 307"]), medianThroughput(measured[l.name]["entrepot"]), medianThroughput(measured[l.name]["distribution"])
		fmt.Printf("| %s | %.0f | %.0f | %.0f | %.2f | %.0f | %s | %s | %s | %s |\n", l.name, bare.perSecond, hit.perSecond, peer.perSecond,
			hit.perSecond/bare.perSecond, hit.perSecond/peer.perSecond, bare.p50, hit.p50, bare.p99, hit.p99)
	}
}

// medianThroughput returns the median of each figure separately.
func medianThroughput(all []throughput) throughput {
	return throughput{
		perSecond: medianOf(all, func(t throughput) float64 { return t.perSecond }),
		p50:       time.Duration(medianOf(all, func(t throughput) float64 { return float64(t.p50) })),
		p99:       time.Duration(medianOf(all, func(t throughput) float64 { return float64(t.p99) })),
	}
}

func medianOf[T any](all []T, figure func(T) float64) float64 {
	var figures []float64
	for _, one := range all {
		figures = append(figures, figure(one))
	}
	slices.Sort(figures)
	return figures[len(figures)/2]
}
