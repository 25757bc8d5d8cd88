package lease

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/entrepot-io/entrepot/backend"
)

const (
	// maxWrites is the maximum number of requests for one write.
	maxWrites = 5
	// maxRefusals is the number of consecutive refusals of the current version after which the store is broken.
	maxRefusals = 2
	// maxAbsentRefusals is the number of consecutive refusals of If-None-Match without an object after which the store is
	// broken. A single one can be a lease that was removed meanwhile.
	maxAbsentRefusals = 5
	// firstPause and longestPause limit the pauses between the requests of one write.
	firstPause, longestPause = 50 * time.Millisecond, 400 * time.Millisecond
	// maxConfirms is how often Remove confirms the lease if the process is suspended each time.
	maxConfirms = 3
)

// Held is a lease held by this process. Its methods must not be called concurrently.
type Held[S any] struct {
	leases *Leases[S]
	key    string
	record Record[S]
	etag   backend.ETag
	sent   instant // when the write of this version began
}

// Epoch returns the unique name of this holding. Objects written under the lease have it in their keys, so that late writes
// of a former holder never collide with those of the current one.
func (h *Held[S]) Epoch() string { return h.record.Epoch }

// Before returns the epochs of the former holders, beginning with the one that set State. Each may have done more work than
// State says. Only the last ones are kept if there were many.
func (h *Held[S]) Before() []string { return h.record.Before }

// State returns the last state set by this holder or a former one.
func (h *Held[S]) State() S { return h.record.State }

// Turn returns the number of holders so far, including this one.
func (h *Held[S]) Turn() int { return h.record.Turn }

// Set sets the state for the next write. Its JSON must not exceed MaxState.
func (h *Held[S]) Set(state S) { h.record.State, h.record.Before = state, nil }

// Renew extends the lease by another TTL. Errors: ErrLost, ErrBroken.
func (h *Held[S]) Renew(ctx context.Context) error {
	return h.write(ctx, h.leases.ifMatch(h.etag))
}

// Release releases the lease, so that another replica can take it over with its state at once. Errors: ErrLost, ErrBroken.
func (h *Held[S]) Release(ctx context.Context) error {
	h.record.Released = true
	return h.Renew(ctx)
}

// Confirm makes sure that the lease is still held, and renews it if the last write is too long ago. Call it before an
// operation that cannot be conditional. Errors: ErrLost, ErrBroken.
func (h *Held[S]) Confirm(ctx context.Context) error {
	if h.age() <= Renew {
		return nil
	}
	return h.Renew(ctx)
}

// age returns the time since the last write began, including time during which the process was suspended.
func (h *Held[S]) age() time.Duration { return h.leases.now().since(h.sent) }

// Remove deletes the lease, unless it has been lost. Stores have no conditional deletes, so a process that is suspended right
// before the delete may delete the lease of its successor, which notices at its next renewal. Error: ErrBroken; then
// nothing is deleted.
func (h *Held[S]) Remove(ctx context.Context) error {
	for range maxConfirms {
		if err := h.Confirm(ctx); errors.Is(err, ErrLost) {
			return nil
		} else if err != nil {
			return err
		}
		// Confirm again if the process was suspended since.
		if age := h.age(); age <= Renew {
			// No retry may be sent after the lease can have expired.
			ctx, cancel := context.WithTimeout(ctx, TTL-time.Second-age)
			defer cancel()
			return h.delete(ctx)
		}
	}
	return errors.New("remove lease: not confirmed in time")
}

// Abandon deletes the lease of a holder that stopped renewing it, unless it has been lost.
func (h *Held[S]) Abandon(ctx context.Context) error {
	record, _, err := h.leases.read(ctx, h.key)
	if errors.Is(err, backend.ErrNotFound) || err == nil && record.Epoch != h.record.Epoch {
		return nil
	}
	if err != nil {
		return err
	}
	return h.delete(ctx)
}

func (h *Held[S]) delete(ctx context.Context) error {
	err := h.leases.Store.Delete(ctx, h.key)
	h.leases.recordResult(err)
	return err
}

// write stores the record if the condition is met. After a lost response, this or the next write meets the record of this
// very holder; write then adopts it. Errors: ErrLost if another holder's record is in the object, ErrBroken if the store
// refuses a condition that is met.
func (h *Held[S]) write(ctx context.Context, condition backend.Condition) error {
	data, err := h.record.encode()
	if err != nil {
		return err
	}
	refusals := 0 // consecutive, of the current version
	for writes := 1; ; writes++ {
		sent := h.leases.now()
		object, err := h.leases.Store.Put(ctx, h.key, bytes.NewReader(data), int64(len(data)),
			backend.PutOptions{ContentType: "application/json", Condition: condition})
		h.leases.recordResult(err)
		switch {
		case err == nil:
			h.etag, h.sent = object.ETag, sent
			h.leases.absentRefusals.Store(0)
			return nil
		case errors.Is(err, backend.ErrUnable) && !backend.IsUnwritable(err):
			return fmt.Errorf("write lease: %w: %w", ErrBroken, err)
		// S3 distinguishes a missing version from a changed one. Both are refusals.
		case !errors.Is(err, backend.ErrPrecondition) && !errors.Is(err, backend.ErrNotFound):
			return fmt.Errorf("write lease: %w", err)
		}
		refusal, decided := err, !errors.Is(err, backend.ErrConflict)
		now, object, err := h.leases.read(ctx, h.key)
		if errors.Is(err, backend.ErrNotFound) {
			if condition.IfAbsent && decided && h.leases.absentRefusals.Add(1) >= maxAbsentRefusals {
				return fmt.Errorf("write lease: %w: If-None-Match without an object", ErrBroken)
			}
			return ErrLost
		}
		if err != nil {
			return err
		}
		h.leases.absentRefusals.Store(0)
		unchanged := condition.IfMatch != "" && object.ETag.Same(condition.IfMatch)
		switch {
		case now.Nonce == h.record.Nonce:
			h.etag, h.sent = object.ETag, sent
			return nil
		case unchanged && decided:
			if refusals++; refusals == maxRefusals {
				return fmt.Errorf("write lease: %w: If-Match %s, the object's own ETag", ErrBroken, condition.IfMatch)
			}
		case unchanged: // a concurrent write had no effect
		case now.Epoch != h.record.Epoch:
			return ErrLost
		default:
			refusals = 0
		}
		if writes == maxWrites {
			return fmt.Errorf("write lease: %d attempts failed: %w", writes, refusal)
		}
		condition = h.leases.ifMatch(object.ETag)
		if !unchanged && writes == 1 {
			continue // an earlier write of this holder succeeded; its ETag is known now
		}
		if err := pause(ctx, writes); err != nil {
			return err
		}
	}
}

// pause waits before request n+1, longer each time.
func pause(ctx context.Context, n int) error {
	most := min(firstPause<<n, longestPause)
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(most/2 + rand.N(most/2)):
		return nil
	}
}
