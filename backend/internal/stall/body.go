package stall

import (
	"fmt"
	"io"
	"time"

	"github.com/entrepot-io/entrepot/backend"
)

// sending is the body of a request. The transport reads more of it when the connection has taken the last bytes. So between
// two reads the request waits for the store, and during a read for the caller.
type sending struct {
	io.ReadCloser
	watch  *watch
	bounds Bounds
	left   int64 // bytes
}

func (s *sending) Read(p []byte) (int, error) {
	s.watch.pause()
	n, err := s.ReadCloser.Read(p)
	s.left -= int64(n)
	if err != nil || s.left == 0 {
		s.watch.wait(max(s.bounds.Response, s.bounds.Send), "no response")
	} else {
		s.watch.wait(s.bounds.Send, "the store accepted no more of the request")
	}
	return n, err
}

// receiving is the body of a response.
type receiving struct {
	io.ReadCloser
	watch  *watch
	bounds Bounds

	// Totals since the last check, which happens whenever waited reaches bounds.Read.
	came   int64 // bytes
	waited time.Duration
}

func (r *receiving) Read(p []byte) (int, error) {
	began := time.Now()
	r.watch.wait(r.bounds.Read, "the response stopped")
	n, err := r.ReadCloser.Read(p)
	r.watch.pause()
	if err != nil && err != io.EOF {
		if stalled := r.watch.failure(); stalled != nil {
			err = stalled
		}
	}
	r.came += int64(n)
	if r.waited += time.Since(began); r.bounds.Read > 0 && r.waited >= r.bounds.Read {
		if err == nil && r.came < r.bounds.MinBytes {
			err = fmt.Errorf("%w fast enough: %d bytes in %s", backend.ErrLate, r.came, r.waited.Round(time.Millisecond))
			r.watch.cancel(err)
		}
		r.came, r.waited = 0, 0
	}
	return n, err
}

func (r *receiving) Close() error {
	_ = r.watch.end() // the reads have returned its error
	err := r.ReadCloser.Close()
	r.watch.cancel(nil)
	return err
}
