package ability

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/entrepot-io/entrepot/backend"
)

// cleanupTimeout bounds the removal of the objects that a probe wrote.
const cleanupTimeout = 5 * time.Second

// Probe tests the abilities that are unknown and need no content: conditional writes and copies. An error means that
// the result is inconclusive; call Probe again later.
func (a *Abilities) Probe(ctx context.Context) error {
	_, err := a.Leases(ctx)
	return errors.Join(err, a.probeCopies(ctx))
}

func (a *Abilities) probeCopies(ctx context.Context) error {
	composer, ok := a.Store.(backend.Composer)
	if !ok || a.copies.known.Load() {
		return nil
	}
	outcomes, err := a.tryCopies(ctx, composer)
	for _, outcome := range outcomes {
		a.RecordCopy(outcome)
	}
	return err
}

// tryCopies makes copies until one succeeds or maxCopyRefusals were refused. It returns the outcome of each, as RecordCopy
// takes them.
func (a *Abilities) tryCopies(ctx context.Context, composer backend.Composer) (outcomes []error, err error) {
	from, to, text := a.Prefix+rand.Text(), a.Prefix+rand.Text(), "a probe"
	defer a.remove(ctx, from, to)
	err = backend.InTime(ctx, probeTimeout, func(ctx context.Context) error {
		part, err := a.Store.Put(ctx, from, strings.NewReader(text), int64(len(text)), backend.PutOptions{})
		for err == nil && len(outcomes) < maxCopyRefusals {
			_, outcome := composer.Compose(ctx, to, []backend.Object{part}, backend.PutOptions{})
			if outcome != nil && !errors.Is(outcome, backend.ErrUnable) {
				return outcome
			}
			if outcomes = append(outcomes, outcome); outcome == nil {
				break
			}
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("probe copies: %w", err)
	}
	return outcomes, nil
}

// remove deletes the objects that a probe wrote, even after the probe's context has ended. If that fails, the bucket's
// lifecycle rules remove them.
func (a *Abilities) remove(ctx context.Context, keys ...string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
	defer cancel()
	for _, key := range keys {
		if err := a.Store.Delete(ctx, key); err != nil {
			a.Log.Debug("probe object left behind", "key", key, "error", err)
		}
	}
}
