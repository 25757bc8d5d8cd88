package fill_test

import (
	"fmt"
	"testing"
	"time"
)

// A restart takes a store away for some seconds. Current readers notice only a pause, and the upstream nothing.
func TestFillSurvivesAStoreOutage(t *testing.T) {
	for _, size := range []int{segmentSize - 7, 10 * segmentSize, 30*segmentSize + 1} {
		for _, lasts := range []time.Duration{time.Second, 4 * time.Second, 8 * time.Second} {
			for from := 500 * time.Millisecond; from < 6*time.Second; from += 700 * time.Millisecond {
				name := fmt.Sprintf("of %s from %s on, with %d bytes", lasts, from, size)
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					w := fair
					w.Seed, w.Size, w.Replicas, w.Clients = uint64(from), size, 3, 8
					w.Segment = 700 * time.Millisecond
					w.Outage = outage{From: from, Lasts: lasts}
					live(t, w)
				})
			}
		}
	}
}
