// Package stall ends requests to a store that make no progress.
//
// A store may accept a connection and then stall: it accepts no more of a body, sends no response, or stops in the middle of
// one. net/http waits forever, and a timeout for the whole request would break large objects on slow links. A Guard bounds
// each wait for the store. The time that the caller takes to supply or read a body does not count.
package stall

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/entrepot-io/entrepot/backend"
)

// Bounds limit how long a request may wait for the store. Zero means no limit.
type Bounds struct {
	Send     time.Duration // until the store accepts the next bytes of the request's body
	Response time.Duration // from the end of the request to the header of the response
	Read     time.Duration // until the next bytes of the response's body
	MinBytes int64         // minimum number of bytes of the response's body for each Read spent waiting
}

// Guard is a transport that ends stalled requests with backend.ErrLate.
type Guard struct {
	Next   http.RoundTripper
	Bounds func(*http.Request) Bounds
}

// RoundTrip fails if the store stalls before it sends the header of the response. Later stalls fail reads of the body.
func (g *Guard) RoundTrip(req *http.Request) (*http.Response, error) {
	bounds := g.Bounds(req)
	ctx, cancel := context.WithCancelCause(req.Context())
	w := newWatch(cancel)
	guarded := req.WithContext(ctx)
	if req.Body != nil && req.Body != http.NoBody {
		guarded.Body = &sending{ReadCloser: req.Body, watch: w, bounds: bounds, left: req.ContentLength}
		guarded.GetBody = nil // a repeated body would not be watched; the stores repeat requests themselves
	}
	w.wait(bounds.Response, "no response")
	resp, err := g.Next.RoundTrip(guarded)
	stalled := w.end()
	if err != nil {
		cancel(nil)
		switch timeout, ok := err.(net.Error); { //nolint:errorlint // a wrapped one belongs to something else
		case stalled != nil:
			return nil, stalled
		case ok && timeout.Timeout() && req.Context().Err() == nil: // of the dialer or the TLS handshake
			return nil, fmt.Errorf("%w: %w", backend.ErrLate, err)
		}
		return nil, err
	}
	resp.Body = &receiving{ReadCloser: resp.Body, watch: newWatch(cancel), bounds: bounds}
	return resp, nil
}
