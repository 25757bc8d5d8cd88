package gc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/mirror/ability"
	"github.com/entrepot-io/entrepot/mirror/lease"
)

// holding is the right to change the bucket. Its methods may be called concurrently.
type holding struct {
	store backend.Store
	key   string
	lost  chan struct{} // closed when the lease is lost
	stop  chan struct{}
	done  sync.WaitGroup

	mu   sync.Mutex
	held *lease.Held[struct{}] // nil: the store cannot hold leases
	over error                 // why the lease is lost
}

// acquire takes the collector's lease. Error: ErrBusy.
func (c *collector) acquire(ctx context.Context) (*holding, error) {
	h := &holding{store: c.Store, key: c.Realm.CollectorLease(), lost: make(chan struct{}), stop: make(chan struct{})}
	abilities := ability.New(ability.Config{
		Store: c.Store, Prefix: c.Realm.Probe(), Log: slog.New(slog.DiscardHandler), Metrics: prometheus.NewRegistry(),
	})
	support, err := abilities.Leases(ctx)
	if err != nil {
		return nil, fmt.Errorf("find out whether the store can hold leases: %w", err)
	}
	if !support.Able {
		return h, nil
	}
	leases := &lease.Leases[struct{}]{Store: c.Store, IfMatch: abilities.IfMatch}
	held, _, err := leases.Acquire(ctx, h.key)
	switch {
	case errors.Is(err, lease.ErrBroken):
		return h, nil
	case err != nil:
		return nil, fmt.Errorf("take the lease of gc: %w", err)
	case held == nil:
		return nil, ErrBusy
	}
	h.held = held
	h.done.Go(func() { h.keep(ctx) })
	return h, nil
}

// keep renews the lease until release.
func (h *holding) keep(ctx context.Context) {
	for {
		select {
		case <-h.stop:
			return
		case <-time.After(lease.Renew):
		}
		h.mu.Lock()
		err := h.held.Renew(ctx)
		if errors.Is(err, lease.ErrLost) && h.over == nil {
			h.over = err
			close(h.lost)
		}
		h.mu.Unlock()
	}
}

// confirm makes sure that the lease is still held. Call it before a deletion.
func (h *holding) confirm(ctx context.Context) error {
	if h == nil { // see Config.Direct
		return nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.held == nil || h.over != nil {
		return h.over
	}
	err := h.held.Confirm(ctx)
	if errors.Is(err, lease.ErrLost) {
		h.over = err
		close(h.lost)
	}
	return err
}

// clock returns the store's time.
func (h *holding) clock(ctx context.Context) (time.Time, error) {
	key := h.key
	if h.held == nil {
		key += ".clock"
		if _, err := h.store.Put(ctx, key, bytes.NewReader(nil), 0, backend.PutOptions{}); err != nil {
			return time.Time{}, err
		}
		defer func() { _ = h.store.Delete(ctx, key) }() // sweepFills removes it otherwise
	}
	object, err := h.store.Stat(ctx, key)
	if err != nil {
		return time.Time{}, fmt.Errorf("ask for the store's time: %w", err)
	}
	if object.AsOf.IsZero() {
		return time.Now(), nil
	}
	return object.AsOf, nil
}

func (h *holding) release(ctx context.Context) {
	close(h.stop)
	h.done.Wait()
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.held == nil || h.over != nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTimeout)
	defer cancel()
	_ = h.held.Remove(ctx) // it expires by itself
}

// releaseTimeout is short, since an interrupted command ends within a second.
const releaseTimeout = 500 * time.Millisecond
