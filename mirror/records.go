package mirror

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/maypok86/otter/v2"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/bounded"
	"github.com/entrepot-io/entrepot/mirror/ability"
)

// recordLife is how long a copy in memory counts as the record in the bucket, even if its TTL is longer: another replica, or
// entrepot refresh, may have written a newer one.
const recordLife = time.Minute

// records manages the records of one kind of subject. Those that this process uses are also in memory.
type records[V, A any] struct {
	m       *Mirror
	kind    kind[V, A]
	purpose ability.Purpose
	most    int64                                // bytes of a record; a larger one counts as damaged
	decode  func(record bounded.JSON) (V, error) // the value may share the record's memory
	encode  func(value V) ([][]byte, error)      // the fields of a JSON object, in pieces; empty if there are none
	// complete reports whether the bucket has the content that a value refers to; nil if values refer to none.
	complete  func(s subject, value V) bool
	noun      string // key of a subject's name in the log
	events    events
	questions *questions[found[A]]

	mu     sync.Mutex // held while a copy is replaced
	copies *otter.Cache[string, *record[V]]
}

// isFresh reports whether a record is served without asking the upstream.
func (k *records[V, A]) isFresh(s subject, r *record[V], now time.Time) bool {
	return r.fresh(now, k.kind.ttl(s, r.value))
}

// events are log messages about records.
type events struct{ damaged, notStored, notRevalidated string }

// about returns the attributes of a subject in the log.
func (k *records[V, A]) about(s subject) []any {
	return []any{"repository", s.repo.String(), k.noun, s.name}
}

// recall returns the newest record of a subject. If insist, it reads the bucket. If the bucket refused the record when it was
// new and accepts writes again, recall stores it, since the next revalidation may be far off. Error: backend.ErrNotFound.
func (k *records[V, A]) recall(ctx context.Context, s subject, insist bool) (*record[V], error) {
	r, err := k.newest(ctx, s, insist)
	if err != nil || !r.unstored || k.complete != nil && !k.complete(s, r.value) || k.writable(r.replaceAfter) != nil {
		return r, err
	}
	return shared(ctx, k.m, "store "+s.key, func(ctx context.Context) (*record[V], error) {
		if mine, ok := k.copies.GetIfPresent(s.key); ok && !mine.unstored {
			return mine, nil
		}
		i := inquiry[V]{version: r.version, conditions: k.m.leases.conditions.Load()}
		_, _ = k.store(ctx, s, r, i) // a failure is logged, and the record stays in memory
		if newest, ok := k.copies.GetIfPresent(s.key); ok {
			return newest, nil
		}
		return r, nil
	})
}

// newest returns the copy in memory, or the record in the bucket if that may be newer. Error: backend.ErrNotFound.
func (k *records[V, A]) newest(ctx context.Context, s subject, insist bool) (*record[V], error) {
	mine, ok := k.copies.GetIfPresent(s.key)
	if now := k.m.Now(); ok && !insist && k.isFresh(s, mine, now) && mine.isCurrent(now) {
		return mine, nil
	}
	r, err := shared(ctx, k.m, "record "+s.key, func(ctx context.Context) (*record[V], error) {
		r, _, err := k.load(ctx, s.key)
		if newer, ok := k.copies.GetIfPresent(s.key); ok && (err == nil || errors.Is(err, backend.ErrNotFound)) {
			return newer, nil
		}
		return r, err
	})
	if ok && err != nil && !errors.Is(err, backend.ErrNotFound) {
		return mine, nil // the bucket is out of reach
	}
	return r, err
}

// load reads a record and the version of its object, and keeps the record in memory. Error: backend.ErrNotFound if there is no
// record, or one that is damaged or of a newer format; the latter two have a version.
func (k *records[V, A]) load(ctx context.Context, key string) (r *record[V], version backend.ETag, err error) {
	began := k.m.Now()
	data, object, err := k.m.load(ctx, key, k.most)
	large := errors.Is(err, bounded.ErrTooLarge)
	if err != nil && !large && !errors.Is(err, backend.ErrNotFound) {
		return nil, "", fmt.Errorf("read record: %w", err)
	}
	came := k.m.Now()
	newer := new(newerError)
	if err == nil || large {
		version = object.ETag
		k.m.storeClock.observe(object.AsOf, came)
		if !large {
			r, err = k.read(data, object, came)
		}
		if errors.As(err, &newer) {
			k.m.Log.Info("newer record ignored", "key", key, "format", newer.format)
			k.keepBeside(key, version, newer)
			return nil, version, err
		}
		if err != nil {
			k.m.Log.Error(k.events.damaged, "key", key, "error", err)
			r, err = nil, fmt.Errorf("record %s is damaged: %w", key, backend.ErrNotFound)
		}
	}
	k.keep(key, r, version, began)
	return r, version, err
}

// keep replaces the copy in memory by the record that the bucket held at some time since began, unless the copy is newer. r is
// nil if the bucket held no record.
func (k *records[V, A]) keep(key string, r *record[V], version backend.ETag, began time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.m.Now()
	mine, ok := k.copies.GetIfPresent(key)
	switch {
	case ok && mine.unstored && mine.version == version:
		newest := *mine // the bucket has not changed since
		newest.seen = now
		k.copies.Set(key, &newest)
	case ok && !mine.unstored && mine.version != version && began.Before(mine.seen) &&
		(version == mine.replaced || r == nil || mine.asked.After(r.asked)):
		// A write of this process, or a later read, overtook this read.
	case r == nil:
		k.copies.Invalidate(key)
	default:
		k.copies.Set(key, r)
	}
}

// keepUnstored keeps in memory an answer that is not in the bucket.
func (k *records[V, A]) keepUnstored(key string, r *record[V], i inquiry[V]) {
	kept := *r
	kept.version, kept.replaced, kept.unstored, kept.seen, kept.replaceAfter = i.version, "", true, k.m.Now(), i.replaceAfter
	k.mu.Lock()
	defer k.mu.Unlock()
	k.copies.Set(key, &kept)
}

// record stores an answer for all replicas. If another replica has written a record since the upstream was asked, record
// returns that one and leaves it in place. If the store does not accept the answer, it is only kept in memory, and the error
// says why.
func (k *records[V, A]) record(ctx context.Context, s subject, r *record[V], i inquiry[V]) (theirs *record[V], err error) {
	if err := k.writable(i.replaceAfter); err != nil {
		k.keepUnstored(s.key, r, i)
		return nil, err
	}
	return k.store(ctx, s, r, i)
}

// writable returns why a record that may be replaced after a time cannot be written now, or nil.
func (k *records[V, A]) writable(after time.Time) error {
	if k.m.Now().Before(after) {
		return errNewer
	}
	return k.m.abilities.Writable(k.purpose)
}

// store is record without the check that the store accepts writes.
func (k *records[V, A]) store(ctx context.Context, s subject, r *record[V], i inquiry[V]) (theirs *record[V], err error) {
	ours := *r
	ours.nonce = rand.Text()
	version, err := k.put(ctx, s.key, &ours, i)
	if errors.Is(err, backend.ErrPrecondition) || i.version != "" && errors.Is(err, backend.ErrNotFound) {
		there, at, failed := k.load(ctx, s.key)
		i.replaceAfter = replaceAfter(failed)
		switch {
		case k.m.Now().Before(i.replaceAfter):
			i.version, err = at, errNewer
		case failed == nil && there.nonce == ours.nonce:
			version, err = at, nil // a retry met the result of the first try
		case i.version != "" && at == i.version:
			k.m.abilities.BreakLeases(fmt.Errorf("the store refused a condition that was met: %w", err))
			i.conditions = false
			version, err = k.put(ctx, s.key, &ours, i)
		case failed == nil:
			return there, nil
		default:
			i.version = at
		}
	}
	if err != nil {
		k.m.Log.Warn(k.events.notStored, append(k.about(s), "error", err)...)
		k.keepUnstored(s.key, r, i)
		return nil, err
	}
	ours.version, ours.replaced, ours.unstored, ours.seen = version, i.version, false, k.m.Now()
	k.mu.Lock()
	defer k.mu.Unlock()
	k.copies.Set(s.key, &ours)
	return nil, nil
}

// put writes a record. If the store honors conditions, it replaces only the version that was there when the upstream was asked.
func (k *records[V, A]) put(ctx context.Context, key string, r *record[V], i inquiry[V]) (backend.ETag, error) {
	fields, err := k.encode(r.value)
	if err != nil {
		return "", fmt.Errorf("encode record: %w", err)
	}
	data, err := r.encode(fields, k.m.Now(), &k.m.storeClock)
	if err != nil {
		return "", fmt.Errorf("encode record: %w", err)
	}
	o := backend.PutOptions{ContentType: "application/json"}
	switch {
	case !i.conditions:
	case i.version == "":
		o.Condition.IfAbsent = true
	default:
		o.Condition = k.m.abilities.IfMatch(i.version)
	}
	var object backend.Object
	err = backend.InTime(ctx, storeTimeout, func(ctx context.Context) (err error) {
		object, err = k.m.Store.Put(ctx, key, newPieces(data), sizeOf(data), o)
		return err
	})
	reportWrite(ctx, k.m.abilities, k.purpose, err)
	if err == nil {
		k.m.storeClock.observe(object.AsOf, k.m.Now())
	}
	return object.ETag, err
}
