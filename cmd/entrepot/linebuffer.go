package main

import (
	"bufio"
	"io"
	"sync"
	"time"
)

// lineBuffer is a writer of log lines that combines them into larger writes: a system call per line would cost more than
// serving the request that the line is about. A line is written after flushInterval at the latest. A lineBuffer is safe for
// concurrent use.
type lineBuffer struct {
	mu      sync.Mutex
	w       *bufio.Writer
	pending bool // a flush is scheduled
	closed  bool
}

// flushInterval is the longest time that a line stays in the buffer.
const flushInterval = 100 * time.Millisecond

func newLineBuffer(w io.Writer) *lineBuffer { return &lineBuffer{w: bufio.NewWriterSize(w, 64<<10)} }

// Write adds one line.
func (b *lineBuffer) Write(line []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.w.Buffered() > 0 && b.w.Available() < len(line) {
		if err := b.w.Flush(); err != nil { // lines stay whole
			return 0, err
		}
	}
	n, err := b.w.Write(line)
	if b.closed {
		return n, b.w.Flush()
	}
	if !b.pending {
		b.pending = true
		time.AfterFunc(flushInterval, b.flush)
	}
	return n, err
}

func (b *lineBuffer) flush() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.pending = false
	_ = b.w.Flush() // a log has nowhere to report its own error
}

// Close flushes the buffer. Later lines are written immediately.
func (b *lineBuffer) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	return b.w.Flush()
}
