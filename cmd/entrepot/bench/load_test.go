//go:build bench

package bench_test

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"testing"
	"time"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/entrepot-io/entrepot/infra/testenv"
)

// A load is a request that bombardier repeats over keep-alive connections.
type load struct {
	name   string
	method string
	path   string
	match  string // If-None-Match; may be empty
	status int    // first digit of the status that every response must have; 0: 2 or 3
}

// throughput is the result of a load.
type throughput struct {
	perSecond float64
	p50, p99  time.Duration
}

// run sends the load to a host for the given number of seconds.
func (l load) run(t *testing.T, host string, seconds int) throughput {
	t.Helper()
	args := []string{"--fasthttp", "--connections", "32", "--duration", fmt.Sprintf("%ds", seconds), "--latencies",
		"--print", "result", "--format", "json", "--method", l.method, "--header", "Accept: " + v1.MediaTypeImageManifest}
	if l.match != "" {
		args = append(args, "--header", "If-None-Match: "+l.match)
	}
	out, err := exec.Command(testenv.Tool(t, "bombardier"), append(args, "http://"+host+l.path)...).Output()
	if err != nil {
		t.Fatalf("bombardier: %v\n%s", err, out)
	}
	var report struct {
		Result struct {
			Seconds                        float64 `json:"timeTakenSeconds"`
			Req2xx, Req3xx                 int
			Req1xx, Req4xx, Req5xx, Others int
			Latency                        struct {
				Percentiles map[string]float64 // microseconds
			}
		}
	}
	if err := json.Unmarshal(out, &report); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	r := report.Result
	right := map[int]int{0: r.Req2xx + r.Req3xx, 2: r.Req2xx, 3: r.Req3xx}[l.status]
	all := r.Req1xx + r.Req2xx + r.Req3xx + r.Req4xx + r.Req5xx + r.Others
	if right != all || all == 0 {
		t.Fatalf("%s at %s: %d of %d responses have the right status\n%s", l.name, host, right, all, out)
	}
	percentile := func(p string) time.Duration {
		return time.Duration(r.Latency.Percentiles[p] * float64(time.Microsecond))
	}
	return throughput{float64(all) / r.Seconds, percentile("50"), percentile("99")}
}
