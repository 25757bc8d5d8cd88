package mirror

import (
	"context"
	"errors"
	"time"
)

// errScarce means that the upstream's quota is nearly used up, and that this request can be avoided.
var errScarce = errors.New("the rest of the upstream's quota is reserved for content that is not cached")

// isGone reports whether err is an upstream's answer that it does not have the content.
func isGone(err error) bool {
	failed := new(UpstreamError)
	return errors.As(err, &failed) && failed.NotFound()
}

// serveStale answers from a record that is not fresh, because the upstream does not answer. why is the upstream's error.
func (k *records[V, A]) serveStale(ctx context.Context, s subject, r *record[V], why error) (found[A], error) {
	if !k.mayServeStale(r, why) {
		return found[A]{}, why
	}
	// The client may have waited long already.
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	answer, err := k.kind.cached(ctx, s, r.value)
	if err != nil {
		return found[A]{}, errors.Join(why, err)
	}
	how := answerStale
	if isGone(why) {
		how = answerDeleted
	}
	k.kind.count(s, how)
	return found[A]{answer: answer, checked: r.asked, stale: why}, nil
}

// mayServeStale reports whether a record may be served because the upstream failed with why. A deleted tag or list is served
// for a while as well, so that a deletion does not break deployments at once.
func (k *records[V, A]) mayServeStale(r *record[V], why error) bool {
	if isGone(why) || !r.gone.IsZero() {
		var gone time.Duration
		if !r.gone.IsZero() {
			gone = elapsed(r.gone, k.m.Now())
		}
		return gone < k.m.KeepDeleted
	}
	failed := new(UpstreamError)
	if !errors.As(why, &failed) && !errors.Is(why, context.DeadlineExceeded) && !errors.Is(why, errScarce) &&
		!errors.Is(why, ErrNoMemory) {
		return false // the upstream did not fail
	}
	return k.m.StaleMax == 0 || elapsed(r.asked, k.m.Now()) < k.m.StaleMax
}
