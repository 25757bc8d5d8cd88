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

// world is one history of one blob: replicas that share a store and an upstream, their clients, and what befalls them.
// It lives in a bubble of testing/synctest, in which hours take milliseconds. What is left to chance depends on the
// seed, and on what is done for which time, but not on the order in which the scheduler runs what happens at once.
type world struct {
	t *testing.T
	weather
	content  []byte
	digest   digest.Digest
	store    *memory.Store
	replicas []*replica
	began    time.Time
	peaceful atomic.Bool   // nothing goes wrong any more
	robbed   atomic.Bool   // something was deleted late, which no store can make depend on what is there
	unbegun  atomic.Bool   // some replica was lost before the lease said how large the blob is
	over     chan struct{} // closed when the dead may be buried

	mu      sync.Mutex
	rolls   map[string]uint64
	events  map[string]int    // that strikes may have hit, so far
	hits    map[string]int    // strikes that did hit, by what they did
	late    map[string]bool   // keys whose last write came from one who did not wait for it any more
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
		// No replica's clock has anything to do with the store's.
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

// fail tells of a promise that was broken, with all that led to it.
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

// Write takes the program's log into the trace.
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

// refuses does to a write what the weather says.
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

// calm reports whether nothing befalls replicas, and no answer of the store is lost.
func (w *world) calm() bool { return len(w.Strikes) == 0 && w.Losses == 0 && w.Refusal.Of == "" }

// wrote is called after each write's effect on the store: whatever becomes visible has to be what its key says.
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
	data, _ := io.ReadAll(body) // of memory
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

// struckBy counts the strikes that have hit.
func (w *world) struckBy(kinds ...string) (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, kind := range kinds {
		n += w.hits[kind]
	}
	return n
}

// stateless reports whether the lease says nothing yet of the blob.
func (w *world) stateless() bool {
	body, _, err := w.store.Get(context.Background(), layout.Public.FillLease(w.digest), backend.Range{})
	if err != nil {
		return true
	}
	data, _ := io.ReadAll(body) // of memory
	return !bytes.Contains(data, []byte("segmentSize"))
}

// run lets the world's history happen and checks what is left at its end.
func (w *world) run() {
	var clients sync.WaitGroup
	for n := range w.Clients {
		clients.Go(func() { w.client(n) })
	}
	clients.Wait()
	// Whatever has happened, the next request is served, and what it finds or brings is there for all.
	w.peaceful.Store(true)
	w.client(w.Clients)
	w.settle()
	time.Sleep(2 * time.Minute) // the store may have failed so often that it is left alone for a while
	w.client(w.Clients)         // where that one joined what was failing already
	w.settle()
	time.Sleep(latest + time.Minute) // all that was on its way has arrived
	w.checkBucket()
	w.checkServed()
	close(w.over)
	for _, r := range w.replicas {
		r.fills.Close()
		synctest.Wait() // readers of a dead replica notice that the world is over
		if downloads := r.downloads.Load(); downloads != 0 {
			w.fail("%s keeps %d downloads", r.name, downloads)
		}
	}
	time.Sleep(10 * time.Minute) // the tries of those who were with the dead come to their end
}

// settle waits until no replica that runs has anything to do.
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

// checkBucket looks at what is in the bucket when everything has come to rest.
func (w *world) checkBucket() {
	blob, landed := layout.Public.Blob(w.digest), false
	for o, err := range w.store.List(context.Background(), "", "") {
		switch {
		case err != nil:
			w.fail("list: %v", err)
		case o.Key == blob:
			landed = true // it was checked when it was written
		case !w.excused(o.Key):
			w.fail("%s of %s is left behind", o.Key, w.writers[o.Key])
		}
	}
	if !landed {
		w.fail("the blob is not in the bucket")
	}
}

// excused reports whether nobody could have removed a key: its writer was not waiting for it any more, or came back after
// others had done its work; or calls fail; or the replica that landed the blob died, paused or closed before it cleaned
// up.
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
		return true // the lease cannot be taken over, and without it what others may be at work on is left alone
	}
	return w.late[key] || w.Losses > 0 || w.robbed.Load() && w.hits["die"] > 0
}

// checkServed looks at what the upstream had to send.
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
		return // nothing is promised
	case !w.Leases:
		if w.calm() && most > w.Replicas {
			w.fail("the upstream sent a byte %d times to %d replicas", most, w.Replicas)
		}
	case w.calm() && (w.Freezes == 0 || w.Breaks == 0):
		if again != 0 || most > 1 {
			w.fail("the upstream sent %d bytes of %d", total, w.Size)
		}
	case w.Ranges == rangesGiven && hits["pause"] == 0 && !w.unbegun.Load():
		// What breaks may take longer than it seemed when it was begun, and is then given up when the process is frozen.
		if allowed := (hits["die"] + hits["close"] + hits["rest"] + hits["freeze"]) * int(w.Memory); again > allowed {
			w.fail("the upstream sent %d bytes again, and %d were on their way", again, allowed)
		}
	}
}
