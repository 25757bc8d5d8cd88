//go:build e2e

package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"
)

const (
	numClients = 30
	// pullTimeout limits a pull, including the pauses after which the client is started again.
	pullTimeout = 4 * time.Minute
)

func TestPullsSucceedWhileReplicasDie(t *testing.T) {
	seed, duration := settings(t)
	t.Logf("ENTREPOT_TEST_SEED=%d ENTREPOT_CLUSTER_DURATION=%s", seed, duration)
	c := newCluster(t, seed)
	pool := &clients{cluster: c, stats: newStats(), catalog: newCatalog(), stop: make(chan struct{})}
	t.Cleanup(func() {
		logs := c.logs(t)
		c.journal.save(t, logs)
		if t.Failed() {
			t.Logf("ENTREPOT_TEST_SEED=%d ENTREPOT_CLUSTER_DURATION=%s", seed, duration)
			c.journal.print(t, logs)
		}
	})
	// Every user has its own generator, so that none depends on how often the others draw.
	random := func(user uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, user)) }
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	traffic := newTraffic(c.upstream)
	var background sync.WaitGroup
	publishing, stopPublishing := context.WithCancel(ctx)
	background.Go(func() { c.publish(publishing, random(0), pool.catalog) })
	background.Go(func() { traffic.record(ctx) })
	background.Go(func() { c.odd.run(publishing, random(3)) })
	c.odd.startClients(t, publishing, &background, random)
	pool.startAll(t, ctx, random)

	chaos := newChaos(c, random(1))
	chaos.run(t, time.Now().Add(duration), pool.stop)
	stopPublishing()
	pool.stopAll()

	if !t.Failed() {
		c.waitReady(t)
		pool.pullWithoutFaults(t, c.push(random(2), pool.catalog))
		c.bucket.waitForBlobs(t, pool.catalog)
		c.odd.pullWithoutFaults(t)
	}
	peak := c.peakMemory(t)
	cancel()
	background.Wait()
	images, _ := pool.catalog.all()
	if !t.Failed() {
		c.bucket.check(t, c.journal, images)
	}
	left, text := c.bucket.leftovers(t)
	if len(left) > len(chaos.faults) {
		c.journal.fail(t, "bucket", "more leftovers than %d faults can cause: %s", len(chaos.faults), text)
	}
	var sent, size int64
	if !t.Failed() {
		sent, size = traffic.check(t, c.journal, images, chaos.faults)
	}
	manifests := traffic.checkManifests(t, c.journal, images, chaos.faults)
	t.Logf("FIGURES cluster, seed %d, %s, %d clients: %s; %s; upstream sent %.1f MB, %.3f times the %d images (%s); leftovers in the bucket: %s; peak memory of a replica %d MB",
		seed, duration, numClients, pool.stats, chaos, float64(sent)/1e6, float64(sent)/float64(max(1, size)), len(images), manifests, text, peak>>20)
}

// settings reads the seed and the duration from the environment.
func settings(t *testing.T) (seed uint64, duration time.Duration) {
	t.Helper()
	seed, duration = uint64(time.Now().UnixNano()%1_000_000), 3*time.Minute
	var err, err2 error
	if text := os.Getenv("ENTREPOT_TEST_SEED"); text != "" {
		seed, err = strconv.ParseUint(text, 10, 64)
	}
	if text := os.Getenv("ENTREPOT_CLUSTER_DURATION"); text != "" {
		duration, err2 = time.ParseDuration(text)
	}
	if err := errors.Join(err, err2); err != nil {
		t.Fatal(err)
	}
	return seed, duration
}

// clients are all clients of the cluster.
type clients struct {
	*cluster
	stats   *stats
	catalog *catalog
	all     []*client

	pulling sync.WaitGroup
	once    sync.Once
	stop    chan struct{} // closed when the clients should stop: the time is over, or a client failed
}

// startAll starts all clients. Half of them use each balancer, a third gets no redirects, and some are real programs.
func (c *clients) startAll(t *testing.T, ctx context.Context, random func(uint64) *rand.Rand) {
	t.Helper()
	behaviors := []behavior{docker, containerd, crane}
	for i := range numClients {
		b, address := behaviors[i%len(behaviors)], nearClients
		if i/len(behaviors)%3 == 2 {
			address = farClients
		}
		switch i {
		case 0, 1:
			b, address = realCrane(t), nearClients
		case 2:
			b, address = realSkopeo(t), nearClients
		}
		balancer := c.balancers[i%len(c.balancers)]
		name := fmt.Sprintf("%s-%d", b.name, i)
		c.all = append(c.all, newClient(name, b, balancer, address, random(uint64(100+i)), c.journal, c.stats))
	}
	for _, client := range c.all {
		c.pulling.Go(func() { c.loop(t, ctx, client) })
	}
}

// loop pulls new images as soon as they are published, as many other clients do, and old ones at random times.
func (c *clients) loop(t *testing.T, ctx context.Context, client *client) {
	for {
		_, updated := c.catalog.all()
		pause := 500*time.Millisecond + time.Duration(client.random.Int64N(int64(4*time.Second)))
		waitForNew := client.random.IntN(3) == 0
		if !waitForNew {
			updated = nil
		}
		select {
		case <-c.stop:
			return
		case <-updated:
		case <-time.After(pause):
		}
		images, _ := c.catalog.all()
		if len(images) == 0 {
			continue
		}
		img := images[len(images)-1]
		if !waitForNew && client.random.IntN(3) > 0 {
			img = images[client.random.IntN(len(images))]
		}
		pull, cancel := context.WithTimeout(ctx, pullTimeout)
		err := client.pull(pull, img)
		cancel()
		if err != nil {
			c.journal.fail(t, client.name, "%v", err)
			c.once.Do(func() { close(c.stop) })
			return
		}
	}
}

// stopAll stops all clients and waits for their current pulls.
func (c *clients) stopAll() {
	c.once.Do(func() { close(c.stop) })
	c.pulling.Wait()
}

// pullWithoutFaults makes all clients pull a cold image concurrently, and then every other image at least once. Without faults
// no request may fail, and these pulls complete the fills that faults interrupted.
func (c *clients) pullWithoutFaults(t *testing.T, cold image) {
	t.Helper()
	images, _ := c.catalog.all()
	var pulls sync.WaitGroup
	for i, client := range c.all {
		if client.behavior.program == nil {
			client.behavior = strict
		}
		client.behavior.pause = 0
		mine := []image{cold, images[i%len(images)]}
		for n := i + len(c.all); n < len(images); n += len(c.all) {
			mine = append(mine, images[n])
		}
		pulls.Go(func() {
			for _, img := range mine {
				if err := client.pull(t.Context(), img); err != nil {
					c.journal.fail(t, client.name, "without faults: %v", err)
				}
			}
		})
	}
	pulls.Wait()
}
