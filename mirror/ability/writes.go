package ability

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/entrepot-io/entrepot/backend"
)

// Purpose is what a write is for. A nearly full disk accepts small objects and refuses large ones, and a policy may permit
// some keys and not others, so each purpose is judged by its own writes.
type Purpose string

// The purposes of writes.
const (
	Leases    Purpose = "leases"
	Segments  Purpose = "segments"
	Blobs     Purpose = "blobs"
	Manifests Purpose = "manifests"
	Tags      Purpose = "tags"
	Lists     Purpose = "lists"
)

// Purposes returns all purposes.
func Purposes() []Purpose { return []Purpose{Leases, Segments, Blobs, Manifests, Tags, Lists} }

const (
	// The store counts as not writable after transientFailures transient errors in a row, spread over at least
	// transientSpan, each while the store was readable: an outage or a restart is not a refusal.
	transientFailures = 3
	transientSpan     = 10 * time.Second
	// readTimeout bounds the check that the store is readable.
	readTimeout = 2 * time.Second
	// The pause between a refused write and the next attempt grows from minWritePause to maxWritePause.
	minWritePause = 5 * time.Second
	maxWritePause = time.Minute
)

// writes records whether the store accepts the writes of one purpose.
type writes struct {
	status

	mu       sync.Mutex
	failures int           // in a row, while the store was readable
	first    time.Time     // of these failures
	pause    time.Duration // 0 unless writes are refused
	retry    time.Time     // when the next attempt may start
	trying   bool          // an attempt is under way
}

func (w *writes) missing(p Purpose) []Missing {
	return w.status.missing("write_"+string(p), writeEffects[p])
}

// writeEffects are the consequences of refused writes.
var writeEffects = map[Purpose]string{
	Leases:    "every replica fetches cold content for itself",
	Segments:  "large cold blobs are passed through and not stored",
	Blobs:     "cold blobs are passed through and not stored",
	Manifests: "new manifests are passed through and not stored",
	Tags:      "other replicas do not learn that tags have moved",
	Lists:     "lists of tags and referrers are passed through and not stored",
}

// Writable returns nil if a write is worth trying, otherwise the error of the last refused write. After a pause one
// caller gets nil to try again; it must report the outcome with RecordWrite.
func (a *Abilities) Writable(p Purpose) error {
	w := a.writes[p]
	w.mu.Lock()
	defer w.mu.Unlock()
	now := a.Now()
	if w.pause == 0 || !now.Before(w.retry) {
		w.retry, w.trying = now.Add(w.pause), w.pause > 0 // other callers wait for the outcome of this attempt
		return nil
	}
	w.status.mu.Lock()
	defer w.status.mu.Unlock()
	return w.reason
}

// RecordWrite records the outcome of a write after all its retries. Do not report errors that are not the store's, such as
// a cancelled context or an unmet condition. If err may be transient, RecordWrite checks that the store is readable.
func (a *Abilities) RecordWrite(ctx context.Context, p Purpose, err error) {
	transient := err != nil && !backend.IsUnwritable(err)
	outage := transient && !a.Readable(ctx)
	w := a.writes[p]
	w.mu.Lock()
	defer w.mu.Unlock()
	now := a.Now()
	switch {
	case err == nil:
		w.failures, w.pause, w.trying = 0, 0, false
		a.show("write_"+string(p), nil)
		if w.set(nil, now) {
			a.Log.Info("store writable again", "purpose", string(p))
		}
		return
	case outage:
		w.failures = 0
		return
	}
	if w.failures == 0 {
		w.first = now
	}
	w.failures++
	if transient && (w.failures < transientFailures || now.Sub(w.first) < transientSpan) {
		return
	}
	if w.trying || !now.Before(w.retry) { // writes that began before the refusal do not extend the pause
		w.pause, w.trying = min(max(2*w.pause, minWritePause), maxWritePause), false
		w.retry = now.Add(w.pause)
	}
	a.show("write_"+string(p), err)
	if w.set(err, now) {
		a.Log.Warn("store not writable", "purpose", string(p), "effect", writeEffects[p], "error", err)
	}
}

// Readable reports whether the store responds to a read within readTimeout.
func (a *Abilities) Readable(ctx context.Context) bool {
	err := backend.InTime(ctx, readTimeout, func(ctx context.Context) error {
		_, err := a.Store.Stat(ctx, a.Prefix+"readable")
		return err
	})
	return err == nil || errors.Is(err, backend.ErrNotFound) || errors.Is(err, backend.ErrDenied)
}
