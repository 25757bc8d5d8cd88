package handlers

import (
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/entrepot-io/entrepot/bounded"
)

// chunk is the size in bytes of one write of a body in memory. Each write shows the client's progress.
const chunk = 64 << 10

// errSlow is the reason why a client was cut.
var errSlow = errors.New("the client read too slowly while others waited for memory")

// watched sends a body that stays in memory until the client has read it. A slow client is cut if others wait for memory.
func (a *API) watched(w http.ResponseWriter, send func(io.Writer) (int64, error)) (int64, error) {
	connection := http.NewResponseController(w)
	reader := a.Mirror.Memory.Reader(func() {
		_ = connection.SetWriteDeadline(time.Unix(1, 0)) // a writer without deadlines does not block
	})
	n, err := send(watchedWriter{w, reader})
	switch cut := reader.Done(); {
	case cut && err == nil: // after the last byte
		_ = connection.SetWriteDeadline(time.Time{})
	case cut:
		err = errors.Join(errSlow, err)
	}
	return n, err
}

type watchedWriter struct {
	w      io.Writer
	reader *bounded.Reader
}

// Write writes in chunks.
func (w watchedWriter) Write(p []byte) (written int, err error) {
	for len(p) > 0 && err == nil {
		var n int
		n, err = w.w.Write(p[:min(chunk, len(p))])
		w.reader.Took(n)
		written, p = written+n, p[n:]
	}
	return written, err
}
