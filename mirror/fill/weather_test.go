package fill_test

import (
	"math"
	"math/rand/v2"
	"time"
)

// How an upstream answers a request for a range.
const (
	rangesGiven   = "given"
	rangesIgnored = "ignored" // with all of the blob
	rangesRefused = "refused" // but for one from the first byte
)

const segmentSize = 4 << 10

// weather is everything that differs between worlds, except for random events.
type weather struct {
	Seed        uint64
	Replicas    int
	Clients     int
	Size        int
	Memory      int64
	Connections int
	Leases      bool
	Composes    bool          // the store can compose
	Skew        time.Duration // of the store's clock
	Latency     time.Duration // mean travel time of a request to the store, and of its response
	Segment     time.Duration // duration of a segment from the upstream over one connection
	Ranges      string
	TellsSize   bool
	Expects     int64         // bytes that a manifest says; 0: no manifest
	Downloads   int           // that a replica may have from the upstream at a time
	Breaks      float64       // chance that a connection breaks, for each read
	Lies        float64       // chance that a response is wrong
	Bad         float64       // the same for the first of two endpoints, which never stops lying; 0: one endpoint
	Losses      float64       // chance that a call to the store fails
	Freezes     time.Duration // after this time a request is answered, and the process freezes until the next; 0: never
	Strikes     []strike
	Outage      outage
	Refusal     refusal
}

// refusal is what the store does to writes after some time. The zero value is nothing.
type refusal struct {
	Of   string // the event that it concerns, or a prefix of its name; empty: none
	As   string // full, fails, hangs
	From time.Duration
}

// outage is a time in which no replica can reach the store. The zero value is none.
type outage struct{ From, Lasts time.Duration }

// strike is an event that hits the replica that does something for the nth time, counted over all replicas.
type strike struct {
	Does   string // pause, die, close, rest (hand over and continue)
	At     string // the event, such as "put segment"
	After  bool   // after its effect instead of before
	Nth    int
	Pauses time.Duration
}

// latest is how long after its request a write can still take effect.
const latest = 40 * time.Second

// forecast returns the weather of a seed.
func forecast(seed uint64) weather {
	r := rand.New(rand.NewPCG(seed, 0))
	chance := func(p float64) bool { return r.Float64() < p }
	segments := 1 + r.IntN(20)
	w := weather{
		Seed:        seed,
		Replicas:    1 + r.IntN(4),
		Clients:     1 + r.IntN(8),
		Size:        segments*segmentSize - r.IntN(segmentSize),
		Connections: 1 + r.IntN(4),
		Leases:      !chance(0.08),
		Composes:    !chance(0.1),
		Skew:        time.Duration(r.Int64N(int64(20000 * time.Hour))).Round(time.Millisecond),
		Latency:     between(r, time.Millisecond, 400*time.Millisecond),
		Segment:     between(r, 5*time.Millisecond, 5*time.Second),
		Ranges:      rangesGiven,
		TellsSize:   !chance(0.05),
		Downloads:   32,
	}
	if !w.TellsSize {
		w.Segment /= 50 // no response starts before a large part of the blob has arrived
	}
	w.Memory = int64(1+r.IntN(8)) * segmentSize
	if chance(0.1) {
		w.Size = []int{0, 1, 1000, 1024, 1025, segmentSize - 1, segmentSize, segmentSize + 1, 3 * segmentSize}[r.IntN(9)]
	}
	if chance(0.2) {
		w.Ranges = []string{rangesIgnored, rangesRefused}[r.IntN(2)]
	}
	if chance(0.2) {
		w.Downloads = 1 + r.IntN(3)
	}
	if chance(0.4) {
		w.Expects = int64(w.Size)
		if chance(0.2) {
			w.Expects += r.Int64N(4*segmentSize) - 2*segmentSize
		}
	}
	if chance(0.3) {
		w.Breaks = 0.1 * r.Float64()
		if w.Ranges != rangesGiven {
			w.Breaks /= 50 // each one starts the transfer again
		}
	}
	if chance(0.4) {
		w.Lies = 0.5 * r.Float64()
	}
	if chance(0.2) {
		w.Losses = 0.06 * r.Float64()
		if !w.Leases {
			w.Losses /= 20 // a failed attempt leaves nothing
		}
	}
	if chance(0.8) {
		for range 1 + r.IntN(4) {
			w.Strikes = append(w.Strikes, aStrike(r, segments))
		}
	}
	if chance(0.25) {
		w.freeze(r)
	} else if chance(0.1) { // memory and downloads are scarce
		w.Ranges, w.Breaks, w.Memory, w.Downloads = rangesIgnored, 0.005*r.Float64(), int64(1+r.IntN(2))*segmentSize, 1+r.IntN(2)
	}
	if chance(0.15) {
		w.Refusal = refusal{
			Of:   []string{"put", "put segment", "put lease", "put blob", "compose"}[r.IntN(5)],
			As:   []string{"full", "fails", "hangs"}[r.IntN(3)],
			From: between(r, time.Millisecond, 60*time.Second),
		}
		w.Freezes = 0 // a frozen process cannot pass blobs through
	}
	// Its own dice, so that the histories of old seeds stay the same.
	if places := rand.New(rand.NewPCG(seed, 1)); w.Lies == 0 && places.Float64() < 0.3 {
		w.Bad = min(1, 0.1+2*places.Float64())
	}
	return w
}

// freeze changes the weather so that a process runs only while it answers a request, one at a time. Then there is no promise
// of progress if a segment, or without ranges the whole blob, takes longer than a request, or if no lease can keep the
// progress.
func (w *weather) freeze(r *rand.Rand) {
	w.Leases, w.Memory = true, max(w.Memory, 2*segmentSize)
	takes := w.Segment
	if w.Ranges != rangesGiven || !w.TellsSize {
		takes *= time.Duration(2 * (w.Size/segmentSize + 1))
	}
	w.Freezes = between(r, 8*time.Second, 30*time.Second) + 2*takes + 40*w.Latency
}

func aStrike(r *rand.Rand, segments int) strike {
	s := strike{
		Does:   []string{"pause", "pause", "die", "die", "close", "rest"}[r.IntN(6)],
		After:  r.IntN(2) == 0,
		Nth:    1 + r.IntN(4),
		Pauses: between(r, 3*time.Second, 60*time.Second),
	}
	s.At = []string{
		"put lease", "put lease", "put lease", "get lease", "delete lease", "put segment", "put segment", "get segment",
		"delete segment", "list", "list", "stat blob", "put blob", "compose", "get blob", "open source", "read source",
	}[r.IntN(17)]
	switch s.At {
	case "put segment", "get segment", "delete segment", "open source", "read source":
		s.Nth = 1 + r.IntN(segments)
	case "put blob", "compose":
		s.Nth = 1 + r.IntN(2)
	}
	return s
}

// between returns a duration, evenly distributed over the orders of magnitude.
func between(r *rand.Rand, least, most time.Duration) time.Duration {
	d := time.Duration(float64(least) * math.Pow(float64(most)/float64(least), r.Float64()))
	return d.Round(time.Microsecond)
}
