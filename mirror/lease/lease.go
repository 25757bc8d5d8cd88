// Package lease lets replicas agree, by an object in the bucket, on which of them does a piece of work.
//
// A replica acquires, renews, releases and takes over a lease by conditional writes to its object: If-None-Match for a new
// lease, else If-Match on the last version. A lease expires by the store's clock, so the clocks of replicas do not matter.
// The object also holds the state from which the next holder continues.
//
// A lease does not stop a former holder that is late, so late work must be harmless: see Held.Epoch.
package lease

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/bounded"
)

const (
	// TTL is how long a lease is valid after the last write of its object, by the store's clock. S3's clock has whole seconds.
	TTL = 10 * time.Second
	// Renew is how long after the last write a holder renews its lease. Some stores accept one write a second per key.
	Renew = 5 * time.Second
)

// ErrLost means that another replica holds the lease.
var ErrLost = errors.New("lease lost")

// ErrBroken means that the store cannot hold leases after all, since it refuses conditions that are met. Continue without
// leases.
var ErrBroken = errors.New("the store refuses conditions that are met")

// Leases manages the leases of one store whose records have a state of type S.
type Leases[S any] struct {
	Store backend.Store
	// IfMatch returns conditions in the form that the store accepts; see Support. nil: backend.IfMatch.
	IfMatch func(backend.ETag) backend.Condition
	Memory  *bounded.Budget // to read long leases in; nil: any amount

	reach          reach
	absentRefusals atomic.Int32   // consecutive refusals of If-None-Match for an object that was then missing
	clock          func() instant // nil: the clock of this process
}

// Get reads a lease's record and reports whether the lease is free. Error: backend.ErrNotFound if there is no lease.
func (l *Leases[S]) Get(ctx context.Context, key string) (record Record[S], free bool, err error) {
	record, object, err := l.read(ctx, key)
	return record, l.free(record, object), err
}

// free reports whether a lease can be taken over.
func (l *Leases[S]) free(record Record[S], object backend.Object) bool {
	return record.Released || expired(object) && !l.reach.wasAway(l.now())
}

// expired reports whether a lease has expired by the store's clock. Both times may be cut to seconds, so TTL can appear up to
// a second shorter.
func expired(o backend.Object) bool { return o.AsOf.Sub(o.Modified) > TTL }

func (l *Leases[S]) ifMatch(etag backend.ETag) backend.Condition {
	if l.IfMatch == nil {
		return backend.IfMatch(etag)
	}
	return l.IfMatch(etag)
}

func (l *Leases[S]) now() instant {
	if l.clock == nil {
		return now()
	}
	return l.clock()
}

func (l *Leases[S]) read(ctx context.Context, key string) (Record[S], backend.Object, error) {
	var record Record[S]
	body, object, err := l.Store.Get(ctx, key, backend.Range{})
	l.recordResult(err)
	if err != nil {
		return record, object, fmt.Errorf("read lease: %w", err)
	}
	defer body.Close()
	memory := l.Memory
	if memory == nil {
		memory = bounded.Unlimited()
	}
	data, err := memory.Read(bounded.Holding(ctx), body, object.Size, maxRead)
	switch {
	case errors.Is(err, bounded.ErrTooLarge):
		return decode[S](nil), object, nil
	case !errors.Is(err, bounded.ErrFull):
		l.recordResult(err)
	}
	if err != nil {
		return record, object, fmt.Errorf("read lease: %w", err)
	}
	return decode[S](data), object, nil
}

// recordResult records the result of a call to the store.
func (l *Leases[S]) recordResult(err error) { l.reach.recordResult(err, l.now()) }

// Acquire takes the lease if it is free. The new holder has the state of the last one, or the zero state. If another replica
// holds the lease, held is nil and record is its record. Error: ErrBroken, with the record found.
func (l *Leases[S]) Acquire(ctx context.Context, key string) (held *Held[S], record Record[S], err error) {
	// Usually there is no lease yet, so try to create one first.
	held = &Held[S]{leases: l, key: key, record: Record[S]{Epoch: rand.Text(), Turn: 1}}
	err = held.write(ctx, backend.Condition{IfAbsent: true})
	if !errors.Is(err, ErrLost) {
		return got(held, Record[S]{}, err)
	}
	record, object, err := l.read(ctx, key)
	if errors.Is(err, backend.ErrNotFound) {
		return nil, Record[S]{}, nil // it was removed meanwhile, so the work is done
	}
	if err != nil || !l.free(record, object) {
		return nil, record, err
	}
	// With a new epoch: the first write may have succeeded, and the lease been lost since.
	held.record = record.next()
	err = held.write(ctx, l.ifMatch(object.ETag))
	if !errors.Is(err, ErrLost) {
		return got(held, record, err)
	}
	record, _, err = l.read(ctx, key) // another replica was faster
	if errors.Is(err, backend.ErrNotFound) {
		err = nil
	}
	return nil, record, err
}

func got[S any](held *Held[S], record Record[S], err error) (*Held[S], Record[S], error) {
	if err != nil {
		return nil, record, err
	}
	return held, held.record, nil
}
