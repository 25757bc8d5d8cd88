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
	// segment is the least that a store takes as a part.
	segment = 5 << 20
	// connections to the upstream that a blob is fetched over, and what each brings in bytes a second, so that a layer
	// takes seconds to land.
	connections, pace = 2, 1500 << 10
	// memory is what all segments on their way in a replica may hold.
	memory = 48 << 20
	// drain is how long answers may take to end when a replica is rolled.
	drain = 20 * time.Second
	// farClients have addresses that replicas do not redirect, and so get bytes from them.
	farClients, nearClients = "127.0.0.9", "127.0.0.1"
)

// world is the cluster, and what is around it.
type world struct {
	diary       *diary
	upstream    *upstreamtest.Registry
	bucket      bucket
	credentials []string // what replicas are told of theirs for the bucket
	slots       []*slot
	balancers   []*balancer
}

// slot is a place for a replica: its addresses, its way to the bucket, and whatever process runs there now.
type slot struct {
	name        string
	addr, admin string
	way         *testenv.Way
	process     *testenv.Process
	logs        []*testenv.Process // of all that ran there
}

func newWorld(t *testing.T, seed uint64) *world {
	t.Helper()
	server := testenv.StartMinIO(t)
	w := &world{
		diary:    newDiary(),
		upstream: upstreamtest.Start(t, upstreamtest.Options{Auth: true, CDN: true, Seed: seed & 0xffff}),
		bucket:   bucket{server: server, name: "cluster-" + strings.ToLower(rand.Text())},
	}
	server.CreateBucket(t, w.bucket.name)
	w.credentials = server.Environment(t, w.bucket.name)
	w.upstream.Faults.Set(upstreamtest.Fault{Kind: upstreamtest.CDNGet, BytesPerSecond: pace})
	network := testenv.StartToxiproxy(t)
	var addrs []string
	for i := range replicas {
		s := &slot{
			name: fmt.Sprintf("replica %d", i+1), way: network.Way(t, server.Addr),
			addr: testenv.FreeAddr(t, "127.0.0.1"), admin: testenv.FreeAddr(t, "127.0.0.1"),
		}
		w.slots, addrs = append(w.slots, s), append(addrs, s.addr)
		w.start(t, s)
	}
	for _, s := range w.slots {
		s.process.WaitHTTP(t, "http://"+s.addr+"/readyz")
	}
	w.balancers = []*balancer{startNginx(t, addrs), startHAProxy(t, addrs)}
	return w
}

// start has a new replica run in a slot, and does not wait for it.
func (w *world) start(t *testing.T, s *slot) {
	t.Helper()
	server := w.bucket.server
	s.process = testenv.StartServe(quiet{t}, testenv.Program(t), append(slices.Clone(w.credentials),
		"ENTREPOT_LISTEN="+s.addr,
		"ENTREPOT_ADMIN_LISTEN="+s.admin,
		"ENTREPOT_LOG_FORMAT=json",
		"ENTREPOT_UPSTREAMS=docker.io="+w.upstream.URL(),
		"ENTREPOT_STORE=minio+http://"+s.way.Addr+"/"+w.bucket.name,
		"ENTREPOT_STORE_PUBLIC_ENDPOINT="+server.Endpoint,
		"ENTREPOT_TRUSTED_PROXIES=127.0.0.1", // the balancers
		"ENTREPOT_REDIRECT="+nearClients,
		"ENTREPOT_TAG_TTL=5s",
		fmt.Sprintf("ENTREPOT_SEGMENT_SIZE=%d", segment),
		fmt.Sprintf("ENTREPOT_FILL_CONNECTIONS=%d", connections),
		fmt.Sprintf("ENTREPOT_FILL_MEMORY=%d", memory),
		"ENTREPOT_DRAIN_TIMEOUT="+drain.String(),
	)...)
	s.logs = append(s.logs, s.process)
}

// settle waits until all replicas are ready, and the balancers know it.
func (w *world) settle(t *testing.T) {
	t.Helper()
	for _, s := range w.slots {
		s.process.WaitUntil(t, "is ready", func() error { return ready("http://" + s.addr + "/readyz") })
	}
	time.Sleep(5 * time.Second) // HAProxy looks every 2 s, nginx leaves a replica that failed alone for 2 s
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

// logs are what all replicas, dead or alive, and the balancers have written.
func (w *world) logs(t *testing.T) map[string]string {
	t.Helper()
	logs := map[string]string{}
	for _, s := range w.slots {
		for i, p := range s.logs {
			logs[fmt.Sprintf("%s.%d", s.name, i+1)] = p.Output(t)
		}
	}
	for _, b := range w.balancers {
		logs[b.name] = b.process.Output(t)
	}
	return logs
}
