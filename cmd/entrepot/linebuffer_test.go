package main

import (
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
)

// writes records the writes to the log.
type writes struct {
	mu  sync.Mutex
	all []string
}

func (w *writes) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.all = append(w.all, string(p))
	return len(p), nil
}

func (w *writes) recorded() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.all)
}

func TestLineBufferCombinesLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var to writes
		b := newLineBuffer(&to)
		write := func(line string) {
			n, err := b.Write([]byte(line))
			assert.NoError(t, err)
			assert.Equal(t, len(line), n)
		}
		write("one\n")
		write("two\n")
		assert.Empty(t, to.recorded())
		time.Sleep(flushInterval)
		synctest.Wait()
		assert.Equal(t, []string{"one\ntwo\n"}, to.recorded())

		line := strings.Repeat("x", 999) + "\n"
		for range 100 {
			write(line)
		}
		for _, written := range to.recorded()[1:] {
			assert.Zero(t, len(written)%len(line), "lines stay whole")
		}
		assert.NoError(t, b.Close())
		assert.Equal(t, "one\ntwo\n"+strings.Repeat(line, 100), strings.Join(to.recorded(), ""))
		write("late\n")
		assert.Equal(t, "late\n", to.recorded()[3])
		time.Sleep(flushInterval)
	})
}
