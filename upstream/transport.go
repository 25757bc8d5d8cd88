package upstream

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

// Timeouts limit the phases of a request. The whole request has no limit: a layer may take as long as the link needs.
type Timeouts struct {
	Connect  time.Duration // for the TCP connection; default 5 s
	TLS      time.Duration // for the TLS handshake; default 5 s
	Header   time.Duration // from the request to the response headers; default 10 s
	IdleBody time.Duration // between two bytes of a body; default 30 s
	Idle     time.Duration // to keep an unused connection; default 90 s
	// MinSpeed is in bytes per second. A body is abandoned if a reader has waited for it for IdleBody in total and received
	// less than that; default 8 KiB.
	MinSpeed int64
}

func (t Timeouts) orDefaults() Timeouts {
	set := func(d *time.Duration, def time.Duration) {
		if *d == 0 {
			*d = def
		}
	}
	set(&t.Connect, 5*time.Second)
	set(&t.TLS, 5*time.Second)
	set(&t.Header, 10*time.Second)
	set(&t.IdleBody, 30*time.Second)
	set(&t.Idle, 90*time.Second)
	if t.MinSpeed == 0 {
		t.MinSpeed = 8 << 10
	}
	return t
}

// NewTransport returns the transport that requests to all upstreams share. It follows the environment's proxy settings, and
// dials only addresses that the upstream may redirect to.
func NewTransport(t Timeouts) http.RoundTripper {
	t = t.orDefaults()
	return t.guardIdle(newDialGuard(t.Connect, t.transport))
}

// maxHeaders limits the headers of a response in bytes.
const maxHeaders = 128 << 10

// transport returns a transport that uses a dialer.
func (t Timeouts) transport(dialer *net.Dialer) *http.Transport {
	base := &http.Transport{
		DialContext:            dialer.DialContext,
		TLSHandshakeTimeout:    t.TLS,
		ResponseHeaderTimeout:  t.Header,
		IdleConnTimeout:        t.Idle,
		MaxIdleConnsPerHost:    32,
		MaxResponseHeaderBytes: maxHeaders,
		// Blobs must arrive as stored, so that they match their digest.
		DisableCompression: true,
	}
	// Over HTTP/2, parallel downloads would share one TCP connection, with one window on a long link.
	base.Protocols = new(http.Protocols)
	base.Protocols.SetHTTP1(true)
	return base
}

func (t Timeouts) guardIdle(next http.RoundTripper) *idleGuard {
	return &idleGuard{next: next, idle: t.IdleBody, least: int64(float64(t.MinSpeed) * t.IdleBody.Seconds())}
}

// Errors of a read if no bytes arrived for too long, or too few.
var (
	errIdle = errors.New("no bytes arrived for too long")
	errSlow = errors.New("bytes arrived too slowly")
)

// idleGuard ends responses whose bodies stall. net/http has no such limit.
type idleGuard struct {
	next  http.RoundTripper
	idle  time.Duration
	least int64 // bytes per idle
}

func (g *idleGuard) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(req.Context())
	resp, err := g.next.RoundTrip(req.WithContext(ctx))
	if err != nil {
		cancel(nil)
		return nil, err
	}
	b := &guardedBody{ReadCloser: resp.Body, idle: g.idle, least: g.least, cancel: cancel}
	b.timer = time.AfterFunc(g.idle, b.expire)
	b.timer.Stop()
	resp.Body = b
	return resp, nil
}

type guardedBody struct {
	io.ReadCloser
	idle    time.Duration
	timer   *time.Timer
	expired atomic.Bool
	cancel  context.CancelCauseFunc

	// These count since the last check, one every idle of waiting.
	least  int64
	came   int64
	waited time.Duration
}

func (b *guardedBody) expire() {
	b.expired.Store(true)
	b.cancel(errIdle)
}

// Read runs the clock only while it waits: a caller that reads slowly is not the upstream's fault.
func (b *guardedBody) Read(p []byte) (int, error) {
	began := time.Now()
	b.timer.Reset(b.idle)
	n, err := b.ReadCloser.Read(p)
	b.timer.Stop()
	if err != nil && err != io.EOF && b.expired.Load() {
		err = errIdle
	}
	b.came += int64(n)
	if b.waited += time.Since(began); b.waited >= b.idle {
		if err == nil && b.came < b.least {
			err = errSlow
		}
		b.came, b.waited = 0, 0
	}
	return n, err
}

func (b *guardedBody) Close() error {
	b.timer.Stop()
	err := b.ReadCloser.Close()
	b.cancel(nil)
	return err
}
