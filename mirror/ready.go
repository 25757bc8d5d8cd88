package mirror

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/mirror/ability"
)

const (
	// permitTimeout limits the first check of a store, which takes eight requests.
	permitTimeout = 10 * time.Second
	// denialShown is how long a denied request is reported.
	denialShown = 10 * time.Minute
)

// readiness is the result of the checks of the store.
type readiness struct {
	permitted atomic.Bool            // the store has permitted everything once
	logged    atomic.Pointer[string] // the last error in the log
}

// Ready returns an error if the store cannot be used. It cannot until it has permitted all kinds of requests of the mirror once,
// so that a bad policy is found when it is rolled out. A permission that is revoked later is no error, nor is a store that is
// full or lacks an ability: it can still serve its content. The complaint is a line of text that names what is missing, and
// each denied request for a while.
func (m *Mirror) Ready(ctx context.Context) (complaint string, err error) {
	var complaints []string
	if m.ready.permitted.Load() {
		err = m.reach(ctx)
	} else if err = m.tryPermissions(ctx); err == nil {
		m.ready.permitted.Store(true)
	} else if refused, ok := errors.AsType[*untried](err); ok {
		for _, p := range ability.Purposes() {
			m.abilities.RecordWrite(ctx, p, refused)
		}
		complaints, err = append(complaints, "the store takes no writes: "+oneLine(refused.Error())), nil
	}
	if err != nil {
		if missing, ok := errors.AsType[*backend.PermissionError](err); ok {
			err = missing // without the errors around it
		}
		err = fmt.Errorf("the store cannot be used: %w", err)
		if last, why := m.ready.logged.Load(), err.Error(); last == nil || *last != why {
			m.ready.logged.Store(&why)
			m.Log.Error("not ready", "error", err)
		}
		return "", err
	}
	return strings.Join(append(complaints, m.complaints()...), "; "), nil
}

// complaints returns the defects of a store that can be used.
func (m *Mirror) complaints() (complaints []string) {
	for _, lack := range m.abilities.Missing() {
		complaints = append(complaints, lack.String())
	}
	if denier, ok := m.Store.(backend.Denier); ok {
		if at, denied := denier.LastDenied(); denied != nil && time.Since(at) < denialShown {
			complaints = append(complaints, fmt.Sprintf("%s ago the store refused to %v", time.Since(at).Round(time.Second), denied))
		}
	}
	return complaints
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// MissingAbilities returns the abilities that the store is known to lack.
func (m *Mirror) MissingAbilities() []ability.Missing { return m.abilities.Missing() }

// FindAbilities starts to probe the store in the background, so that missing abilities show before the first cold pull. It tries
// until the store has answered or the mirror is closed. Call it once.
func (m *Mirror) FindAbilities() {
	m.background.Go(func() {
		for pause := time.Second; ; pause = min(2*pause, time.Minute) {
			err := m.abilities.Probe(m.ends)
			if err == nil || m.ends.Err() != nil {
				return
			}
			m.Log.Debug("store not probed", "retry", pause, "error", err)
			select {
			case <-m.ends.Done():
				return
			case <-time.After(pause):
			}
		}
	})
}

// reach looks whether the store answers.
func (m *Mirror) reach(ctx context.Context) error {
	return backend.InTime(ctx, storeTimeout, func(ctx context.Context) error {
		body, _, err := m.Store.Get(ctx, "ready", backend.Range{})
		if err == nil {
			return body.Close()
		}
		if errors.Is(err, backend.ErrNotFound) {
			return nil
		}
		return err
	})
}

// untried is the error of a store that can be read but refuses writes, for example because it is full. Its permissions cannot be
// tried, but its content can be served.
type untried struct{ error }

func (u *untried) Unwrap() error { return u.error }

// tryPermissions sends each kind of request that the mirror needs once, for a key of its own.
func (m *Mirror) tryPermissions(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, permitTimeout)
	defer cancel()
	key, text := m.realm.Probe()+rand.Text(), "a look at what is permitted"
	// Report an unresponsive store promptly.
	err := backend.InTime(ctx, storeTimeout, func(ctx context.Context) error {
		_, err := m.Store.Put(ctx, key, strings.NewReader(text), int64(len(text)), backend.PutOptions{})
		return err
	})
	if err != nil {
		m.removeTrial(ctx, key) // the write may have succeeded
		if !errors.Is(err, backend.ErrDenied) && !errors.Is(err, backend.ErrNoBucket) && m.reach(ctx) == nil {
			return &untried{err}
		}
		return err
	}
	if err := m.tryTheRest(ctx, key); err != nil {
		m.removeTrial(ctx, key)
		return err
	}
	return m.Store.Delete(ctx, key)
}

// removeTrial deletes the object of tryPermissions. If that fails, lifecycle rules remove it.
func (m *Mirror) removeTrial(ctx context.Context, key string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTimeout)
	defer cancel()
	if err := m.Store.Delete(ctx, key); err != nil {
		m.Log.Debug("probe left behind", "key", key, "error", err)
	}
}

// tryTheRest tries the requests that need an object.
func (m *Mirror) tryTheRest(ctx context.Context, key string) error {
	body, object, err := m.Store.Get(ctx, key, backend.Range{})
	if err != nil {
		return err
	}
	if err := body.Close(); err != nil {
		return err
	}
	for _, err := range m.Store.List(ctx, key, "") {
		if err != nil {
			return err
		}
	}
	if composer, ok := m.Store.(backend.Composer); ok {
		// It must fail, because of the part's version, so that there is an upload to abort. Other errors do not matter: some
		// stores cannot copy.
		object.ETag = `"00000000000000000000000000000000"`
		if _, err := composer.Compose(ctx, key, []backend.Object{object}, backend.PutOptions{}); errors.Is(err, backend.ErrDenied) {
			return err
		}
	}
	if sweeper, ok := m.Store.(backend.Sweeper); ok {
		if err := sweeper.Sweep(ctx, key); errors.Is(err, backend.ErrDenied) {
			return err
		}
	}
	return nil
}
