package fill_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/backend/backendtest/memory"
	"github.com/entrepot-io/entrepot/mirror/layout"
)

// world is one history of one blob: replicas that share a store and an upstream, their clients, and the events that hit
// them. It runs in a bubble of testing/synctest, in which hours take milliseconds. Chance depends on the seed and on how
// often each event has happened, but not on the order in which the scheduler runs simultaneous events.
type world struct {
	t *testing.T
	weather
	content  []byte
	digest   digest.Digest
	store    *memory.Store
	replicas []*replica
	began    time.Time
	peaceful atomic.Bool   // nothing goes wrong from now on
	robbed   atomic.Bool   // a delete took effect late; stores have no conditional deletes
	unbegun  atomic.Bool   // a replica was lost before the lease contained the blob's size
	over     chan struct{} // closed when the goroutines of dead replicas may end

	mu      sync.Mutex
	rolls   map[string]uint64
	events  map[string]int    // so far, for strikes
	hits    map[string]int    // strikes so far, by what they did
	late    map[string]bool   // keys whose last writer no longer waited for its write
	writers map[string]string // replica that last wrote the key
	served  []int             // how often the upstream sent each byte
	trace   []string
	failed  bool
}

func newWorld(t *testing.T, w weather) *world {
	content := make([]byte, w.Size)
	_, _ = rand.NewChaCha8(sha256.Sum256(fmt.Append(nil, "content ", w.Seed))).Read(content) // never fails
	began := time.Now()
	world := &world{
		t: t, weather: w, content: content, digest: digest.FromBytes(content), began: began,
		// The store's clock is unrelated to those of replicas.
		store: &memory.Store{Now: func() time.Time { return time.Now().Add(w.Skew) }},
		over:  make(chan struct{}),
		rolls: map[string]uint64{}, events: map[string]int{}, hits: map[string]int{}, late: map[string]bool{},
		writers: map[string]string{}, served: make([]int, w.Size),
	}
	for n := range w.Replicas {
		world.replicas = append(world.replicas, newReplica(world, fmt.Sprintf("replica %d", n)))
	}
	return world
}

// roll returns the randomness for one event.
func (w *world) roll(event ...string) *rand.Rand {
	name := strings.Join(event, "|")
	w.mu.Lock()
	n := w.rolls[name]
	w.rolls[name]++
	w.mu.Unlock()
	return rand.New(rand.NewChaCha8(sha256.Sum256(fmt.Appendf(nil, "%d|%s|%d", w.Seed, name, n))))
}

// fail reports a broken promise, with the trace that led to it.
func (w *world) fail(format string, args ...any) {
	w.logf("BROKEN: "+format, args...)
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.failed {
		w.failed = true
		w.t.Errorf("seed %d: %s\n%+v\n%s", w.Seed, fmt.Sprintf(format, args...), w.weather, strings.Join(w.trace, "\n"))
	}
}

func (w *world) logf(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.trace = append(w.trace, fmt.Sprintf("%10.3fs  ", time.Since(w.began).Seconds())+fmt.Sprintf(format, args...))
}

// Write adds the program's log to the trace.
func (w *world) Write(line []byte) (int, error) {
	w.logf("%s", strings.TrimSpace(string(line)))
	return len(line), nil
}

func (w *world) log(name string) *slog.Logger {
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey || a.Key == "digest" {
			return slog.Attr{}
		}
		return a
	}})).With("replica", name)
}

// happens reports whether something with this chance goes wrong.
func (w *world) happens(dice *rand.Rand, chance float64) bool {
	return dice.Float64() < chance && !w.peaceful.Load()
}

// honest reports whether the upstream never sends anything but the blob.
func (w *world) honest() bool { return w.Lies == 0 && w.Bad == 0 }

// out reports whether the store is out of reach now.
func (w *world) out() bool {
	since := time.Since(w.began) - w.Outage.From
	return since >= 0 && since < w.Outage.Lasts
}

// refuses applies the weather's refusal to a write.
func (w *world) refuses(ctx context.Context, event string) error {
	if w.Refusal.Of == "" || !strings.HasPrefix(event, w.Refusal.Of) && !(w.Refusal.Of == "put" && event == "compose") ||
		w.peaceful.Load() || time.Since(w.began) < w.Refusal.From {
		return nil
	}
	w.logf("%s is refused: %s", event, w.Refusal.As)
	switch w.Refusal.As {
	case "full":
		return backend.ErrFull
	case "hangs":
		<-ctx.Done()
		return ctx.Err()
	}
	return errLost
}

// calm reports whether no event hits replicas, and no response of the store is lost.
func (w *world) calm() bool { return len(w.Strikes) == 0 && w.Losses == 0 && w.Refusal.Of == "" }

// wrote is called after each write's effect on the store. It checks that visible objects match their keys.
func (w *world) wrote(r *replica, key string, late bool) {
	w.mu.Lock()
	w.late[key], w.writers[key] = late, r.name
	w.mu.Unlock()
	if !strings.HasPrefix(key, "public/blobs/") {
		return
	}
	body, _, err := w.store.Get(context.Background(), key, backend.Range{})
	if err != nil {
		w.fail("%s: %v", key, err)
		return
	}
	data, _ := io.ReadAll(body) // cannot fail in memory
	if sum := sha256.Sum256(data); layout.Public.Blob(digest.NewDigestFromEncoded(digest.SHA256, hex.EncodeToString(sum[:]))) != key {
		w.fail("%s made visible %d bytes that are not the blob", r.name, len(data))
	}
}

// live lists the replicas that clients can turn to.
func (w *world) live() []*replica {
	var live []*replica
	for _, r := range w.replicas {
		if !r.gone() {
			live = append(live, r)
		}
	}
	return live
}

// struckBy counts the strikes so far.
func (w *world) struckBy(kinds ...string) (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, kind := range kinds {
		n += w.hits[kind]
	}
	return n
}

// stateless reports whether the lease contains nothing about the blob yet.
func (w *world) stateless() bool {
	body, _, err := w.store.Get(context.Background(), layout.Public.FillLease(w.digest), backend.Range{})
	if err != nil {
		return true
	}
	data, _ := io.ReadAll(body) // cannot fail in memory
	return !bytes.Contains(data, []byte("segmentSize"))
}

// run runs the world's history and checks the result.
func (w *world) run() {
	var clients sync.WaitGroup
	for n := range w.Clients {
		clients.Go(func() { w.client(n) })
	}
	clients.Wait()
	// After any history, the next request is served, and the blob is then stored.
	w.peaceful.Store(true)
	w.client(w.Clients)
	w.settle()
	time.Sleep(2 * time.Minute) // after many failures, replicas leave the store alone for a while
	w.client(w.Clients)         // in case the first one joined a failing fill
	w.settle()
	time.Sleep(latest + time.Minute) // until all late writes have arrived
	w.checkBucket()
	w.checkServed()
	close(w.over)
	for _, r := range w.replicas {
		r.fills.Close()
		synctest.Wait() // until readers of dead replicas notice that the world is over
		if downloads := r.downloads.Load(); downloads != 0 {
			w.fail("%s keeps %d downloads", r.name, downloads)
		}
	}
	time.Sleep(10 * time.Minute) // until the retries of clients of dead replicas end
}

// settle waits until no running replica has anything to do.
func (w *world) settle() {
	for _, r := range w.live() {
		for waited := 0; r.fills.Count() > 0 && !r.gone() && !r.isFrozen(); waited++ {
			if waited > 300 {
				w.fail("the fill of %s does not end", r.name)
				break
			}
			time.Sleep(time.Second)
		}
	}
}

// checkBucket checks what is in the bucket at the end.
func (w *world) checkBucket() {
	blob, landed := layout.Public.Blob(w.digest), false
	for o, err := range w.store.List(context.Background(), "", "") {
		switch {
		case err != nil:
			w.fail("list: %v", err)
		case o.Key == blob:
			landed = true // wrote has checked it
		case !w.excused(o.Key):
			w.fail("%s of %s is left behind", o.Key, w.writers[o.Key])
		}
	}
	if !landed {
		w.fail("the blob is not in the bucket")
	}
}

// excused reports whether no replica could have removed a key: its writer no longer waited for the write, or came back after
// others had done its work; or calls fail; or the replica that landed the blob died, paused or closed before it cleaned up.
func (w *world) excused(key string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, r := range w.replicas {
		wrote, landed := r.name == w.writers[key], r.name == w.writers[layout.Public.Blob(w.digest)]
		if wrote && r.struck() && (r.paused || !w.Leases || event("", key) == " lease") || landed && r.struck() {
			return true
		}
	}
	// If a lease was deleted late, its holder leaves everything to the next one, which may die.
	if len(w.Strikes) > 0 && (w.Refusal.Of == "put" || w.Refusal.Of == "put lease") {
		return true // the lease cannot be taken over, and without it nobody touches what others may be working on
	}
	return w.late[key] || w.Losses > 0 || w.robbed.Load() && w.hits["die"] > 0
}

// checkServed checks how often the upstream sent each byte.
func (w *world) checkServed() {
	total, most := 0, 0
	for _, n := range w.served {
		total, most = total+n, max(most, n)
	}
	again := total - w.Size
	w.mu.Lock()
	hits := maps.Clone(w.hits)
	w.mu.Unlock()
	switch {
	case !w.honest() || w.Losses > 0 || w.Refusal.Of != "" || w.Ranges == rangesRefused || (w.Ranges == rangesIgnored && w.Breaks > 0):
		return // there is no promise
	case !w.Leases:
		if w.calm() && most > w.Replicas {
			w.fail("the upstream sent a byte %d times to %d replicas", most, w.Replicas)
		}
	case w.calm() && (w.Freezes == 0 || w.Breaks == 0):
		if again != 0 || most > 1 {
			w.fail("the upstream sent %d bytes of %d", total, w.Size)
		}
	case w.Ranges == rangesGiven && hits["pause"] == 0 && !w.unbegun.Load():
		// A transfer that breaks may take longer than estimated at its start. It is then abandoned when the process freezes.
		if allowed := (hits["die"] + hits["close"] + hits["rest"] + hits["freeze"]) * int(w.Memory); again > allowed {
			w.fail("the upstream sent %d bytes again, and %d were on their way", again, allowed)
		}
	}
}
