package upstreamtest

import (
	"bytes"
	"net/http"
	"strconv"
	"time"
)

// answer is a response that is counted, and that a fault may change.
type answer struct {
	http.ResponseWriter
	r     *Registry
	q     *request
	fault Fault
	blob  bool // the body is (part of) a blob

	began   time.Time // of the body
	length  int64     // announced, or -1
	written int64     // of the body
	stalled bool      // so that it stalls only once
	leave   func()    // ends its part in Counts.BlobGets
}

// observe records a request, and returns its answer.
func (r *Registry) observe(w http.ResponseWriter, q *request, at *site) *answer {
	carries := q.kind == CDNGet || q.kind == BlobGet && r.cdn == nil
	q.entry = r.ledger.enter(q, at.addr, r.violations(q, at))
	a := &answer{ResponseWriter: w, r: r, q: q, leave: func() {}}
	if carries {
		a.leave = r.ledger.bodyBegins()
	}
	return a
}

func (a *answer) done() { a.leave() }

// bytes answers with a whole body.
func (a *answer) bytes(status int, mediaType string, body []byte) {
	if a.fault.Encoding != "" {
		body = a.encoded(bytes.NewReader(body))
	}
	a.Header().Set("Content-Type", mediaType)
	a.Header().Set("Content-Length", strconv.Itoa(len(body)))
	a.WriteHeader(status)
	if a.q.Method != http.MethodHead {
		_, _ = a.Write(body) // the client may be gone
	}
}

// WriteHeader sends the status and the headers, as the fault changes them.
func (a *answer) WriteHeader(status int) {
	for name, values := range a.fault.Header {
		a.Header().Del(name)
		for _, value := range values {
			a.Header().Add(name, value)
		}
	}
	a.length = -1
	if n, err := strconv.ParseInt(a.Header().Get("Content-Length"), 10, 64); err == nil {
		a.length = n
	}
	if a.fault.Chunked || a.fault.Damage == End {
		a.Header().Del("Content-Length")
	}
	a.r.ledger.answered(a.q.entry, status)
	a.began = time.Now()
	a.ResponseWriter.WriteHeader(status)
	// Without a flush, net/http would announce the length of a short body. Throttled answers send their headers at once.
	if a.fault.Chunked || a.fault.Damage == End || a.fault.BytesPerSecond > 0 {
		a.flush()
	}
}

// Write sends a part of the body, as far and as fast as the fault allows.
func (a *answer) Write(p []byte) (int, error) {
	total := 0
	for len(p) > 0 {
		if a.fault.Damage == End && a.written >= a.fault.At {
			return total + len(p), nil
		}
		n := a.portion(len(p))
		a.pace(n)
		if a.written+int64(n) == a.length {
			a.leave() // before the client has everything and sends another request
		}
		if err := a.send(p[:n]); err != nil {
			return total, err
		}
		total, p = total+n, p[n:]
	}
	return total, nil
}

// portion returns how much of n bytes may be sent now. It panics if the fault cuts the body, and blocks if it stalls.
func (a *answer) portion(n int) int {
	if a.fault.Damage == Cut || a.fault.Damage == Stall && !a.stalled {
		left := a.fault.At - a.written
		if left <= 0 {
			a.flush()
			if a.fault.Damage == Cut {
				panic(http.ErrAbortHandler)
			}
			a.hold()
			a.stalled = true
		} else {
			n = int(min(int64(n), left))
		}
	}
	if a.fault.Damage == End {
		n = int(min(int64(n), a.fault.At-a.written))
	}
	if rate := a.fault.BytesPerSecond; rate > 0 {
		n = int(min(int64(n), max(1, rate/50)))
	}
	return n
}

// send counts before it writes, so that bytes are counted when a client has them.
func (a *answer) send(p []byte) error {
	a.written += int64(len(p))
	if a.blob {
		a.r.ledger.sent(a.q.digest, int64(len(p)))
	}
	n, err := a.ResponseWriter.Write(p)
	if err != nil && a.blob {
		a.r.ledger.sent(a.q.digest, int64(n-len(p)))
	}
	return err
}

// pace flushes, and waits until n more bytes are due.
func (a *answer) pace(n int) {
	if rate := a.fault.BytesPerSecond; rate > 0 {
		a.flush()
		due := time.Duration(float64(a.written+int64(n)) / float64(rate) * float64(time.Second))
		a.pause(time.Until(a.began.Add(due)))
	}
}

func (a *answer) flush() {
	_ = http.NewResponseController(a.ResponseWriter).Flush() // the client may be gone
}

// pause waits. If the client leaves or the registry stops, it aborts the handler.
func (a *answer) pause(d time.Duration) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-a.q.Context().Done():
		panic(http.ErrAbortHandler)
	}
}

// hold waits until the fault ends. It aborts the handler like pause.
func (a *answer) hold() {
	select {
	case <-a.fault.Until:
	case <-a.q.Context().Done():
		panic(http.ErrAbortHandler)
	}
}
