package main_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/upstream/upstreamtest"
)

// ENTREPOT_TEST_SEED sets the seed; the timing of processes stays random. ENTREPOT_TEST_ROUNDS sets the number of rounds.
func TestClientsGetTheirBytesWhileReplicasDie(t *testing.T) {
	t.Parallel()
	seed := uint64(setting(t, "ENTREPOT_TEST_SEED", time.Now().UnixNano()%1_000_000))
	rounds := setting(t, "ENTREPOT_TEST_ROUNDS", 4)
	t.Logf("ENTREPOT_TEST_SEED=%d ENTREPOT_TEST_ROUNDS=%d", seed, rounds)
	cases := map[string]uint64{}
	for i := range uint64(rounds) {
		cases[fmt.Sprintf("round %d of seed %d", i, seed)] = i
	}
	atOnce(t, 3, cases, func(t *testing.T, round uint64) {
		newChaos(t, rand.New(rand.NewPCG(seed, round))).run(t)
	})
}

func setting(t *testing.T, name string, otherwise int64) int64 {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.ParseInt(text, 10, 64)
	require.NoError(t, err, name)
	return n
}

// chaos is an image that clients pull while replicas are killed.
type chaos struct {
	*cluster
	random *rand.Rand // for the test's goroutine only
	image  upstreamtest.Image
	blobs  []coldBlob
	events []string

	mu         sync.Mutex
	current    []*replica // the ones that clients use, some of them dead
	all        []*replica // including replaced ones
	disturbed  map[*replica]bool
	unexpected []error // errors of clients of undisturbed replicas
}

func newChaos(t *testing.T, random *rand.Rand) *chaos {
	t.Helper()
	s := &chaos{cluster: newCluster(t), random: random, disturbed: map[*replica]bool{}}
	var layers []ocispec.Descriptor
	for i, size := range []int64{1 + random.Int64N(fillSegment), fillSegment + random.Int64N(5*fillSegment), 3*fillSegment + random.Int64N(4*fillSegment)} {
		blob := s.blob(random.Uint64(), size)
		s.blobs = append(s.blobs, blob)
		layers = append(layers, ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayer, Digest: blob.digest, Size: size})
		s.events = append(s.events, fmt.Sprintf("blob %d has %d bytes", i, size))
	}
	s.image = s.upstream.ImageOf(fillRepo, "1", layers...)
	last := s.blobs[2].size() - 1 // in a later request: if the first one failed, so would the client
	speed := 2<<20 + random.Int64N(5<<20)
	s.upstream.Faults.Set(
		upstreamtest.Fault{Kind: upstreamtest.CDNGet, Skip: random.IntN(4), Times: 1, Damage: upstreamtest.Cut, At: random.Int64N(fillSegment), BytesPerSecond: speed},
		upstreamtest.Fault{Kind: upstreamtest.CDNGet, Digest: s.blobs[2].digest, Byte: &last, Times: 2, Status: 503},
		upstreamtest.Fault{Kind: upstreamtest.CDNGet, BytesPerSecond: speed},
	)
	return s
}

// run lets clients pull while it kills replicas, then checks the clients' bytes and the bucket.
func (s *chaos) run(t *testing.T) {
	t.Helper()
	s.current = s.replicas(t, 3)
	s.all = slices.Clone(s.current)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	var clients sync.WaitGroup
	errs := make([]error, 5)
	for i := range errs {
		c := &retryingClient{chaos: s, random: rand.New(rand.NewPCG(s.random.Uint64(), 0)), resumes: i%2 == 0}
		clients.Go(func() { errs[i] = c.pull(ctx) })
	}
	for range 3 + s.random.IntN(3) {
		s.pause(t, 2*time.Second)
		s.disturb(t)
	}
	clients.Wait()
	for i, err := range errs {
		assert.NoError(t, err, "client %d", i)
	}
	assert.Empty(t, s.unexpected, "errors of clients of undisturbed replicas")
	var sent, total int64
	for _, blob := range s.blobs {
		s.waitWhole(t, blob)
		sent, total = sent+s.sent(blob), total+blob.size()
	}
	resumed := 0
	for _, r := range s.all {
		resumed += len(r.logged(t, "fill resumed"))
	}
	t.Logf("%s; %d fills resumed; upstream sent %.2f times the image", strings.Join(s.events, "; "), resumed, float64(sent)/float64(total))
	s.bucket.allVerified(t)
	s.noViolation(t)
	for _, key := range s.bucket.keys(t, "public/") {
		kind, _, _ := strings.Cut(strings.TrimPrefix(key, "public/"), "/")
		assert.Contains(t, []string{"blobs", "manifests", "tags", "fills"}, kind, key)
	}
}

// waitWhole requests a blob that all clients have, and waits until it is stored: the leader may have died before that, and
// then the fill needs another client.
func (s *chaos) waitWhole(t *testing.T, b coldBlob) {
	t.Helper()
	s.current[0].get(t, b).complete(t)
	waitFor(t, "the blob in the bucket", func() bool { return s.bucket.has(t, b.key()) })
}

// pause sleeps for a random time below limit.
func (s *chaos) pause(t *testing.T, limit time.Duration) time.Duration {
	t.Helper()
	d := time.Duration(s.random.Int64N(int64(limit)))
	time.Sleep(d)
	return d
}

// disturb kills or terminates a replica and replaces it, or pauses a replica.
func (s *chaos) disturb(t *testing.T) {
	t.Helper()
	i := s.random.IntN(len(s.current))
	victim := s.current[i]
	s.mu.Lock()
	s.disturbed[victim] = true
	s.mu.Unlock()
	switch s.random.IntN(5) {
	case 0:
		victim.Signal(t, syscall.SIGTERM)
		s.events = append(s.events, fmt.Sprintf("SIGTERM of %d", i))
	case 1:
		victim.Signal(t, syscall.SIGSTOP)
		paused := s.pause(t, 13*time.Second)
		victim.Signal(t, syscall.SIGCONT)
		s.events = append(s.events, fmt.Sprintf("pause of %d for %.1f s", i, paused.Seconds()))
		return
	default:
		victim.Kill()
		s.events = append(s.events, fmt.Sprintf("kill of %d", i))
	}
	next := s.start(t)
	s.all = append(s.all, next)
	s.mu.Lock()
	s.current[i] = next
	s.mu.Unlock()
}
