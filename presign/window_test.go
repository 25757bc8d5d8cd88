package presign

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func TestLengthOfWindows(t *testing.T) {
	for want, w := range map[time.Duration]windows{
		50 * time.Minute: newWindows(time.Hour, 10*time.Minute),
		time.Hour:        newWindows(time.Hour, 0),
		time.Second:      newWindows(time.Minute, 59*time.Second),
		9 * time.Second:  newWindows(20*time.Second+700*time.Millisecond, 10*time.Second+300*time.Millisecond),
	} {
		begin, end := w.at("key", noon)
		assert.Equal(t, want, end.Sub(begin))
	}
}

func TestWindowsAreContiguous(t *testing.T) {
	w := newWindows(time.Hour, 10*time.Minute)
	for _, near := range []time.Time{noon, time.Unix(0, 0), time.Unix(-100_000, 0)} {
		begin, end := w.at("key", near)
		assert.False(t, near.Before(begin))
		assert.True(t, near.Before(end))
		next, _ := w.at("key", end)
		assert.Equal(t, end, next)
		same, _ := w.at("key", end.Add(-time.Nanosecond))
		assert.Equal(t, begin, same)
	}
}

func TestWindowsDifferByKey(t *testing.T) {
	w := newWindows(time.Hour, 10*time.Minute)
	inEach := map[int]int{} // windows that begin in each ten minutes
	for i := range 10_000 {
		begin, _ := w.at(fmt.Sprintf("public/blobs/sha256/%064x", i), noon)
		inEach[int(noon.Sub(begin)/(10*time.Minute))]++
	}
	assert.Len(t, inEach, 5)
	for _, n := range inEach {
		assert.InDelta(t, 2000, n, 200)
	}
}
