package lease_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"time"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/mirror/lease"
)

// use acquires the lease, writes a state, and ends in one of several ways.
func (h *holder) use() {
	leases := &lease.Leases[string]{Store: h}
	var held *lease.Held[string]
	for tries := 0; held == nil; tries++ {
		var err error
		held, _, err = leases.Acquire(context.Background(), key)
		if err != nil || tries == 1 {
			return
		}
	}
	h.epoch = held.Epoch()
	h.checkAcquired(held)
	held.Set(h.name + " renewed")
	err := held.Renew(context.Background())
	h.checkWritten(held, h.name+" renewed", err)
	if errors.Is(err, lease.ErrLost) || errors.Is(err, errOver) {
		return
	}
	switch h.ending() {
	case "release":
		held.Set(h.name + " released")
		err := held.Release(context.Background())
		h.checkWritten(held, h.name+" released", err)
	case "remove":
		_ = held.Remove(context.Background()) // the store shows the effect
	}
}

// ending chooses how the holder ends.
func (h *holder) ending() string {
	endings := []string{"release", "remove", "die"}
	ending := endings[h.explorer.choose(len(endings))]
	h.logf("%s will %s", h.name, ending)
	h.learned = append(h.learned, ending)
	return ending
}

// call waits for its turn.
func (h *holder) call(name string, put bool, effect func() (string, error)) error {
	h.calls++
	c := &call{fmt.Sprintf("%s%d %s", h.name, h.calls, name), put, effect, make(chan error)}
	h.pending = c
	return <-c.result
}

func (h *holder) Put(_ context.Context, key string, body io.Reader, size int64, o backend.PutOptions) (stored backend.Object, _ error) {
	data, err := io.ReadAll(io.LimitReader(body, size))
	if err != nil {
		return backend.Object{}, err
	}
	by := fmt.Sprint(h.name, h.calls+1)
	err = h.call("put", true, func() (string, error) {
		var err error
		stored, err = h.store.Put(context.Background(), key, bytes.NewReader(data), size, o)
		if err == nil {
			h.wrote(data, by)
		}
		return fmt.Sprint(err), err
	})
	return stored, err
}

func (h *holder) Get(_ context.Context, key string, r backend.Range) (body io.ReadCloser, object backend.Object, _ error) {
	err := h.call("get", false, func() (string, error) {
		var err error
		body, object, err = h.store.Get(context.Background(), key, r)
		if err != nil {
			return fmt.Sprint(err), err
		}
		return fmt.Sprint(h.now.by, object.AsOf.Sub(object.Modified)), nil
	})
	return body, object, err
}

func (h *holder) Delete(_ context.Context, key string) error {
	if h.now != nil && h.now.Epoch != h.epoch {
		h.broken("%s deletes the lease of another holder", h.name)
	}
	return h.call("delete", true, func() (string, error) {
		h.now = nil
		err := h.store.Delete(context.Background(), key)
		return fmt.Sprint(err), err
	})
}

func (h *holder) Stat(context.Context, string) (backend.Object, error) { panic("not called") }

func (h *holder) List(context.Context, string, string) iter.Seq2[backend.Object, error] {
	panic("not called")
}

// wrote checks a version of the lease against the previous one.
func (h *history) wrote(data []byte, by string) {
	next := &version{by: by, written: time.Now()}
	if err := json.Unmarshal(data, &next.record); err != nil {
		h.broken("%s wrote an invalid record: %v", by, err)
	}
	last, before := h.now, h.versions
	h.now, h.versions = next, append(before, next)
	if n := len(before); n > 0 && before[n-1].Epoch == next.Epoch {
		return
	}
	if h.used[next.Epoch] {
		h.broken("%s wrote after it lost the lease", by)
	}
	if last == nil {
		return
	}
	if age := next.written.Sub(last.written); !last.Released && age <= lease.TTL-time.Second {
		h.broken("%s took over a lease renewed %s ago", by, age)
	}
	if former := append(last.Before, last.Epoch); next.State != last.State || next.Turn != last.Turn+1 || !slices.Equal(next.Before, former) {
		h.broken("%s took over %+v as %+v", by, last.record, next.record)
	}
}

// checkAcquired checks a holder that has acquired the lease.
func (h *holder) checkAcquired(held *lease.Held[string]) {
	h.logf("%s holds", h.name)
	if h.used[held.Epoch()] {
		h.broken("%s has an epoch that was used before", h.name)
	}
	h.used[held.Epoch()] = true
	for n, v := range h.versions {
		if v.Epoch != held.Epoch() {
			continue
		}
		if v.State != held.State() || (n == 0 && v.State != "") {
			h.broken("%s got the state %q instead of %q", h.name, held.State(), v.State)
		}
		return
	}
	h.broken("%s holds a lease that is not in the store", h.name)
}

// checkWritten checks the result of a holder's write.
func (h *holder) checkWritten(held *lease.Held[string], state string, err error) {
	h.logf("%s: result of its write: %v", h.name, err)
	switch {
	case err == nil:
		if !slices.ContainsFunc(h.versions, func(v *version) bool { return v.Epoch == held.Epoch() && v.State == state }) {
			h.broken("%s wrote a state that is not in the store", h.name)
		}
	case errors.Is(err, lease.ErrLost):
		if h.now != nil && h.now.Epoch == held.Epoch() {
			h.broken("%s believes that it lost a lease that it holds", h.name)
		}
	}
}

// checkFree checks that the lease can be acquired after it has expired.
func (h *history) checkFree() {
	time.Sleep(lease.TTL + 2*time.Second)
	leases := &lease.Leases[string]{Store: &h.store}
	last := h.now
	held, _, err := leases.Acquire(context.Background(), key)
	switch {
	case err != nil || held == nil:
		h.broken("the lease cannot be acquired: %v", err)
	case last != nil && held.State() != last.State:
		h.broken("the state %q became %q", last.State, held.State())
	}
}
