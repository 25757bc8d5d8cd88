//go:build e2e

package cluster_test

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/entrepot-io/entrepot/infra/testenv"
	"github.com/entrepot-io/entrepot/upstream/upstreamtest"
)

const (
	replicas = 3
	// segment is S3's minimum size of an upload part, in bytes.
	segment = 5 << 20
	// connections is the number of upstream connections per blob. pace limits each, in bytes per second, so that a layer
	// takes seconds.
	connections, pace = 2, 1500 << 10
	// memory is a replica's fill memory, in bytes.
	memory = 48 << 20
	// drain is the drain timeout of a replica that restarts.
	drain = 20 * time.Second
	// Client addresses. Replicas redirect nearClients to the bucket, and stream to farClients.
	farClients, nearClients = "127.0.0.9", "127.0.0.1"
)

// cluster is the system under test, including the upstream, the bucket and the load balancers.
type cluster struct {
	journal     *journal
	upstream    *upstreamtest.Registry
	odd         *odd
	bucket      bucket
	credentials []string // environment variables with the replicas' credentials for the bucket
	slots       []*slot
	balancers   []*balancer
}

// A slot is a replica's addresses, its link to the bucket, and its current process.
type slot struct {
	name        string
	addr, admin string
	link        *testenv.Link
	process     *testenv.Process
	processes   []*testenv.Process // all processes so far
}

func newCluster(t *testing.T, seed uint64) *cluster {
	t.Helper()
	journal := newJournal()
	t.Cleanup(func() { journal.printFailures(t) }) // registered first, runs last
	server := testenv.StartMinIO(t)
	c := &cluster{
		journal:  journal,
		upstream: upstreamtest.Start(t, upstreamtest.Options{Auth: true, CDN: true, Seed: seed & 0xffff}),
		odd:      newOdd(t, seed),
		bucket:   bucket{server: server, name: "cluster-" + strings.ToLower(rand.Text())},
	}
	server.CreateBucket(t, c.bucket.name)
	c.credentials = server.Environment(t, c.bucket.name)
	c.upstream.Faults.Set(upstreamtest.Fault{Kind: upstreamtest.CDNGet, BytesPerSecond: pace})
	network := testenv.StartToxiproxy(t)
	var addrs []string
	for i := range replicas {
		s := &slot{
			name: fmt.Sprintf("replica %d", i+1), link: network.Link(t, server.Addr),
			addr: testenv.FreeAddr(t, "127.0.0.1"), admin: testenv.FreeAddr(t, "127.0.0.1"),
		}
		c.slots, addrs = append(c.slots, s), append(addrs, s.addr)
		c.start(t, s)
	}
	for _, s := range c.slots {
		s.process.WaitHTTP(t, "http://"+s.addr+"/readyz")
	}
	c.balancers = []*balancer{startNginx(t, addrs), startHAProxy(t, addrs)}
	c.odd.balancer, c.odd.journal = c.balancers[0].addr, journal
	return c
}

// start starts a new process in a slot and does not wait until it is ready.
func (c *cluster) start(t *testing.T, s *slot) {
	t.Helper()
	server := c.bucket.server
	s.process = testenv.StartServe(quiet{t}, testenv.Program(t), append(slices.Clone(c.credentials),
		"ENTREPOT_LISTEN="+s.addr,
		"ENTREPOT_ADMIN_LISTEN="+s.admin,
		"ENTREPOT_LOG_FORMAT=json",
		"ENTREPOT_UPSTREAMS=docker.io="+c.upstream.URL()+","+oddRegistry+"="+c.odd.upstream.URL(),
		"ENTREPOT_STORE=minio+http://"+s.link.Addr+"/"+c.bucket.name,
		"ENTREPOT_STORE_PUBLIC_ENDPOINT="+server.Endpoint,
		"ENTREPOT_TRUSTED_PROXIES=127.0.0.1", // the balancers
		"ENTREPOT_REDIRECT="+nearClients,
		"ENTREPOT_TAG_TTL=5s",
		fmt.Sprintf("ENTREPOT_SEGMENT_SIZE=%d", segment),
		fmt.Sprintf("ENTREPOT_FILL_CONNECTIONS=%d", connections),
		fmt.Sprintf("ENTREPOT_FILL_MEMORY=%d", memory),
		"ENTREPOT_DRAIN_TIMEOUT="+drain.String(),
	)...)
	s.processes = append(s.processes, s.process)
}

// waitReady waits until all replicas are ready and the balancers know it.
func (c *cluster) waitReady(t *testing.T) {
	t.Helper()
	for _, s := range c.slots {
		s.process.WaitUntil(t, "is ready", func() error { return ready("http://" + s.addr + "/readyz") })
	}
	time.Sleep(5 * time.Second) // HAProxy checks every 2 s, nginx skips a failed replica for 2 s
}

func ready(url string) error {
	resp, err := http.Get(url)
	if err != nil {
		return err
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: %s", url, resp.Status)
	}
	return nil
}

// maxMemory limits a replica's resident memory, in bytes: twice the budgets of fills and of other memory, to allow for
// garbage.
const maxMemory = 512 << 20

// peakMemory returns the largest peak memory of the running processes, in bytes. The test fails if one exceeds maxMemory.
func (c *cluster) peakMemory(t *testing.T) (peak int64) {
	t.Helper()
	for _, s := range c.slots {
		resident := s.process.PeakMemory(t)
		if resident > maxMemory {
			c.journal.fail(t, s.name, "peak memory %d MB, want at most %d MB", resident>>20, maxMemory>>20)
		}
		peak = max(peak, resident)
	}
	return peak
}

// logs returns the output of all balancers and of all processes of the replicas.
func (c *cluster) logs(t *testing.T) map[string]string {
	t.Helper()
	logs := map[string]string{}
	for _, s := range c.slots {
		for i, p := range s.processes {
			logs[fmt.Sprintf("%s.%d", s.name, i+1)] = p.Output(t)
		}
	}
	for _, b := range c.balancers {
		logs[b.name] = b.process.Output(t)
	}
	return logs
}
