package upstreamtest

import (
	"cmp"
	"net/http"
)

// misbehave takes the fault for the request, if there is one, and reports whether it has sent the response. WriteHeader,
// Write and content apply the fault to headers and body.
func (a *answer) misbehave() bool {
	f, ok := a.r.Faults.take(a.q)
	if !ok {
		return false
	}
	a.fault = f
	a.r.ledger.faulted(a.q.entry)
	a.pause(f.Delay)
	if f.Hang {
		a.hold()
	}
	if f.Drop {
		panic(http.ErrAbortHandler)
	}
	if f.IgnoreRange {
		a.q.Header.Del("Range")
	}
	if f.ShiftRange != 0 {
		a.q.Header.Set("Range", shiftRange(a.q.Header.Get("Range"), f.ShiftRange))
	}
	return a.canned()
}

const htmlPage = "<!DOCTYPE html>\n<html><head><title>Maintenance</title></head><body>Back soon</body></html>\n"

// canned sends the response that the fault prescribes, and reports whether there is one.
func (a *answer) canned() bool {
	status := a.fault.Status
	if status == http.StatusUnauthorized && a.q.kind != Token && a.q.kind != CDNGet && a.r.opts.Auth {
		a.r.challengeIn(a.Header(), a.q.repo, "invalid_token")
	}
	switch {
	case a.fault.HTML:
		a.bytes(cmp.Or(status, http.StatusOK), "text/html; charset=utf-8", []byte(htmlPage))
	case a.fault.Body != nil:
		a.bytes(cmp.Or(status, http.StatusOK), "application/json", a.fault.Body)
	case status != 0:
		a.fail(status)
	default:
		return false
	}
	return true
}

// damaged returns an object as the fault changes it.
func (f Fault) damaged(c Content) Content {
	d := damagedContent{Content: c, size: c.Size(), wrong: -1}
	switch f.Damage {
	case Corrupt:
		d.wrong = f.At
	case Truncate:
		d.size = min(d.size, f.At)
	case Pad:
		d.size += f.At
	case Invert:
		d.all = true
	default:
		return c
	}
	return d
}

type damagedContent struct {
	Content
	size  int64
	wrong int64 // offset of the wrong byte, or -1
	all   bool  // all bytes are wrong
}

func (d damagedContent) Size() int64 { return d.size }

func (d damagedContent) ReadAt(p []byte, off int64) (int, error) {
	n, _ := d.Content.ReadAt(p, off) // the only error is the object's end, and padding may follow
	clear(p[n:])
	if d.all {
		for i := range p {
			p[i] ^= 0xff
		}
	}
	if i := d.wrong - off; i >= 0 && i < int64(len(p)) {
		p[i] ^= 0xff
	}
	return len(p), nil // the caller reads through a section of the right size
}
