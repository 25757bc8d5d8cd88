package upstreamtest

import (
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
)

// Fault is one way to misbehave, for the requests that it matches. Its effects may be combined; they take place in the
// order of the fields. A fault meets requests that are authorized, and pings and requests for tokens always.
type Fault struct {
	// Which requests: the zero value of each field matches all.

	Kind   Kind
	Repo   string
	Digest digest.Digest // asked for as such, or by a tag that points to it
	Byte   *int64        // only requests whose range (or lack of one) takes in this byte of the object

	Skip  int // so many of the requests that match are let pass first
	Times int // so many are hit then; 0: all

	// Before the answer.

	Delay time.Duration   // before the headers
	Hang  bool            // no answer, and the connection stays open, until the client goes or Until is closed
	Drop  bool            // the connection is closed without an answer
	Until <-chan struct{} `json:"-"` // lets a Hang or a Stall go on, as if nothing had been; nil: never

	// What is answered.

	IgnoreRange bool  // 200 and the whole body, whatever range was asked for
	ShiftRange  int64 // 206 with a range that begins so many bytes later (or earlier) than asked, and says so
	Status      int   // this status with an error document, or with Body; a 401 comes with a challenge
	HTML        bool  // an HTML page, with status 200 unless Status is set
	Body        []byte
	Chunked     bool // no Content-Length
	// Encoding is the Content-Encoding that the body comes in though nobody asked for it: gzip, deflate or zstd. Ranges
	// are of the encoded bytes.
	Encoding string

	// Header is set on the answer, over what it would say. An empty list removes a header:
	// http.Header{"Docker-Content-Digest": nil}.
	Header http.Header

	// The body.

	BytesPerSecond int64 // for each answer
	Damage         Damage
	At             int64 // bytes; see Damage

	// For a BlobGet that redirects to the CDN.

	URLLife time.Duration // the URL answers 403 after this time; below 0: at once
	URLUses int           // and after so many GETs; 0: any number
}

// Damage is what happens to a body. Fault.At says where.
type Damage string

// All kinds of damage. The first three happen to an answer, the others to the object it is a part of: these come with the
// Content-Length and Content-Range of the damaged object.
const (
	Cut      Damage = "cut"      // the connection is closed after At bytes of the answer
	Stall    Damage = "stall"    // nothing more comes after At bytes of the answer, until the client goes or Until is closed
	End      Damage = "end"      // the answer, which comes without a length, ends after At bytes as if that were all
	Corrupt  Damage = "corrupt"  // the object's byte at offset At is wrong; answers without it do not match the fault
	Truncate Damage = "truncate" // the object ends after At bytes
	Pad      Damage = "pad"      // At zero bytes follow the object
	Invert   Damage = "invert"   // all bytes of the object are wrong
)

// Faults is a list of faults: a request suffers from the first that matches it, and from no other. The zero value is
// empty. It is safe for concurrent use; a change does not reach the answers that are under way.
type Faults struct {
	mu    sync.Mutex
	armed []*Fault // with Skip and Times counting down; those used up are removed
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

// Left is the number of faults in the list; those that have been used up their number of Times are gone from it.
func (f *Faults) Left() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.armed)
}

// take finds the fault for a request, and uses it once.
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
		case 0: // for good
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
