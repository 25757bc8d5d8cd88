package ability

import "sync/atomic"

// copies records whether the store copies objects into the parts of another object.
type copies struct {
	status
	refusals atomic.Int32 // in a row
	known    atomic.Bool  // a copy succeeded, or maxCopyRefusals failed
}

// maxCopyRefusals is the number of refusals in a row after which copies count as missing: a single one may be transient.
const maxCopyRefusals = 2

// copiesEffect is the consequence of missing copies.
const copiesEffect = "blobs of several segments pass through this process once more"

func (c *copies) missing() []Missing { return c.status.missing(serverSideCopies, copiesEffect) }

// Copies reports whether to try a copy on the store's side.
func (a *Abilities) Copies() bool { return a.copies.refusals.Load() < maxCopyRefusals }

// RecordCopy records the outcome of a copy: nil if the store made it, backend.ErrUnable if the store refused it. Do not
// report other errors: they say nothing about the ability.
func (a *Abilities) RecordCopy(err error) {
	if err == nil {
		a.copies.refusals.Store(0)
		a.copies.known.Store(true)
		a.copies.set(nil, a.Now())
		a.show(serverSideCopies, nil)
		return
	}
	if a.copies.refusals.Add(1) < maxCopyRefusals {
		return
	}
	a.copies.known.Store(true)
	a.show(serverSideCopies, err)
	if a.copies.set(err, a.Now()) {
		a.Log.Warn("store cannot copy segments", "effect", copiesEffect, "reason", err)
	}
}
