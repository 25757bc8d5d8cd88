package handlers

import (
	"io"
	"net/http"
	"sync"
	"sync/atomic"
)

// streamBuffer is the size of the buffer for each client that is sent a body from a bucket. Four times io.Copy's own saves
// a sixth of the CPU time with many clients; more saves little and costs memory: docs/performance.md.
const streamBuffer = 128 << 10 // bytes

const (
	// maxStreamBuffers limits how many clients have such a buffer: 32 MiB. The others get smallBuffer, which is about the
	// cost of a connection.
	maxStreamBuffers = 256
	smallBuffer      = 16 << 10 // bytes
)

var (
	streamBuffers = sync.Pool{New: func() any { return new([streamBuffer]byte) }}
	streams       atomic.Int64 // in progress, of those that need a buffer
)

// stream sends a body. The kernel sends a file. Anything else is copied once, from its socket through a buffer that is
// written to the client's: net/http bypasses its own buffer for larger writes.
func stream(w http.ResponseWriter, body io.Reader) (int64, error) {
	if file, ok := body.(io.WriterTo); ok {
		return file.WriteTo(w)
	}
	defer streams.Add(-1)
	if streams.Add(1) > maxStreamBuffers {
		return io.CopyBuffer(onlyWriter{w}, body, make([]byte, smallBuffer))
	}
	buffer := streamBuffers.Get().(*[streamBuffer]byte)
	defer streamBuffers.Put(buffer)
	return io.CopyBuffer(onlyWriter{w}, body, buffer[:])
}

// streamFill sends a body that may pause at any byte. net/http's writer would keep back less than a buffer of data, but not
// if it reads the body itself.
func streamFill(w http.ResponseWriter, body io.Reader) (int64, error) { return io.Copy(w, body) }

// onlyWriter hides io.ReaderFrom, with which net/http's writer would use a small buffer of its own.
type onlyWriter struct{ io.Writer }
