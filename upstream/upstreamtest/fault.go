package upstreamtest

import (
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
)

// Fault is one way to misbehave, for the requests that it matches. Its effects can be combined. They happen in the order of
// the fields. Faults hit only authorized requests, except for pings and requests for tokens.
type Fault struct {
	// The requests that it matches. The zero value of each field matches all.

	Kind   Kind
	Repo   string
	Digest digest.Digest // named by itself, or by a tag that points to it
	Byte   *int64        // only requests whose range, or lack of one, includes this byte of the object

	Skip  int // let this many matching requests pass first
	Times int // then hit this many; 0: all

	// Before the response.

	Delay time.Duration   // before the headers
	Hang  bool            // send nothing, but keep the connection open until the client leaves or Until is closed
	Drop  bool            // close the connection without a response
	Until <-chan struct{} `json:"-"` // ends a Hang or a Stall, and the response continues normally; nil: never

	// The response.

	IgnoreRange bool  // 200 and the whole body, even for a range
	ShiftRange  int64 // 206 with a range that starts this many bytes later than requested (earlier, if negative), and says so
	Status      int   // with an error document or with Body; a 401 has a challenge
	HTML        bool  // an HTML page, with status 200 unless Status is set
	Body        []byte
	Chunked     bool // no Content-Length
	// Encoding is the Content-Encoding of the body, whatever the client accepts: gzip, deflate or zstd. Ranges are of the
	// encoded bytes.
	Encoding string

	// Header replaces headers of the response. An empty list removes one: http.Header{"Docker-Content-Digest": nil}.
	Header http.Header

	// The body.

	BytesPerSecond int64 // for each response
	Damage         Damage
	At             int64 // bytes; see Damage

	// For a BlobGet that redirects to the CDN.

	URLLife time.Duration // the URL answers 403 after this time; below 0: at once
	URLUses int           // the URL answers 403 after this many GETs; 0: no limit
}

// Damage is what happens to a body. Fault.At says where.
type Damage string

// All kinds of damage. The first three happen to a response. The others happen to the object, so responses have the
// Content-Length and Content-Range of the damaged object.
const (
	Cut      Damage = "cut"      // the connection closes after At bytes of the response
	Stall    Damage = "stall"    // the response pauses after At bytes, until the client leaves or Until is closed
	End      Damage = "end"      // the response has no length, and ends after At bytes as if that were all
	Corrupt  Damage = "corrupt"  // the object's byte at offset At is wrong; requests for other bytes do not match the fault
	Truncate Damage = "truncate" // the object ends after At bytes
	Pad      Damage = "pad"      // At zero bytes follow the object
	Invert   Damage = "invert"   // all bytes of the object are wrong
)

// Faults is a list of faults. Only the first one that matches a request hits it. The zero value is empty. It is safe for
// concurrent use. A change does not affect responses in progress.
type Faults struct {
	mu    sync.Mutex
	armed []*Fault // Skip and Times count down, and a fault that is used up is removed
}

// Set replaces the list.
func (f *Faults) Set(faults ...Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.armed = nil
	for _, fault := range faults {
		f.armed = append(f.armed, &fault)
	}
}

// Add appends to the list.
func (f *Faults) Add(fault Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.armed = append(f.armed, &fault)
}

// Clear empties the list.
func (f *Faults) Clear() { f.Set() }

// Left returns the number of faults in the list. A fault leaves it after its number of Times.
func (f *Faults) Left() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.armed)
}

// take returns the fault for a request, and counts its use.
func (f *Faults) take(q *request) (_ Fault, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, fault := range f.armed {
		if !fault.matches(q) {
			continue
		}
		if fault.Skip > 0 {
			fault.Skip--
			continue
		}
		hit := *fault
		switch fault.Times {
		case 0: // no limit
		case 1:
			f.armed = slices.Delete(f.armed, i, i+1)
		default:
			fault.Times--
		}
		return hit, true
	}
	return Fault{}, false
}

func (f *Fault) matches(q *request) bool {
	return (f.Kind == "" || f.Kind == q.kind) &&
		(f.Repo == "" || f.Repo == q.repo) &&
		(f.Digest == "" || f.Digest == q.digest) &&
		(f.Byte == nil || q.asksFor(*f.Byte)) &&
		(f.Damage != Corrupt || q.asksFor(f.At))
}
