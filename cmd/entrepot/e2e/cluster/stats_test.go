//go:build e2e

package cluster_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// stats are the statistics of all clients.
type stats struct {
	requests atomic.Int64 // of simulated clients, and runs of real programs
	failed   atomic.Int64 // requests without a response
	cut      atomic.Int64 // responses that broke off
	retries  atomic.Int64 // requests that a client repeated or resumed on its own

	mu       sync.Mutex
	first    []time.Duration // until a response started
	took     []time.Duration // whole pulls
	rounds   map[int]int     // pulls by number of rounds, see client.pull
	statuses map[int]int     // other than success
}

func newStats() *stats {
	return &stats{rounds: map[int]int{}, statuses: map[int]int{}}
}

func (s *stats) responded(after time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.first = append(s.first, after)
}

func (s *stats) pulled(took time.Duration, rounds int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.took = append(s.took, took)
	s.rounds[rounds]++
}

func (s *stats) status(code int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.statuses[code]++
}

func (s *stats) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	slices.Sort(s.first)
	slices.Sort(s.took)
	return fmt.Sprintf("%d successful pulls; %d requests, %d retried by clients, %d without a response, %d cut off; statuses other than success: %s; "+
		"pulls by rounds: %s; pulls took p50 %s, p99 %s, max %s; first byte p50 %s, p99 %s, max %s",
		len(s.took), s.requests.Load(), s.retries.Load(), s.failed.Load(), s.cut.Load(), counts(s.statuses), counts(s.rounds),
		seconds(quantile(s.took, .5)), seconds(quantile(s.took, .99)), seconds(quantile(s.took, 1)),
		seconds(quantile(s.first, .5)), seconds(quantile(s.first, .99)), seconds(quantile(s.first, 1)))
}

func quantile(sorted []time.Duration, q float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.3g s", d.Seconds()) }

// counts formats counters as "502 x 1, 503 x 12".
func counts[K int | string](of map[K]int) string {
	var words []string
	for _, key := range slices.Sorted(maps.Keys(of)) {
		words = append(words, fmt.Sprintf("%v x %d", key, of[key]))
	}
	if words == nil {
		return "none"
	}
	return strings.Join(words, ", ")
}
