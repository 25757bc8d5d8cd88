package mirror

import (
	"context"
	"errors"
	"time"

	"github.com/entrepot-io/entrepot/backend"
)

// subject is a thing to ask an upstream about: a tag or a list.
type subject struct {
	repo Repository
	name string        // within the repository
	key  string        // of its record in the bucket
	ttl  time.Duration // how long the upstream's answer stays fresh
}

// kind is the part of the work that depends on the kind of subject. V is the value in a record, A the answer for a client.
type kind[V, A any] interface {
	// lease returns the key of the lease for asking about a subject.
	lease(s subject) string
	// fetch asks the upstream about a subject without a record.
	fetch(ctx context.Context, s subject) (reply[V, A], error)
	// revalidate asks the upstream about a subject with a record. If thrifty, it fails with errScarce rather than use up the
	// rest of a quota.
	revalidate(ctx context.Context, s subject, known V, thrifty bool) (reply[V, A], error)
	// answer returns the answer of a fresh record. It may fetch missing content from the upstream.
	answer(ctx context.Context, s subject, value V) (A, error)
	// cached returns the answer of a record without asking the upstream. Error: backend.ErrNotFound.
	cached(ctx context.Context, s subject, value V) (A, error)
	// ttl returns how long a value stays fresh.
	ttl(s subject, value V) time.Duration
	// count counts an answer in the metrics.
	count(s subject, how string)
}

// reply is an upstream's answer.
type reply[V, A any] struct {
	answer A
	value  V
	keep   keeping
}

// keeping is the place where a reply is recorded.
type keeping int

const (
	inBucket keeping = iota
	inMemory         // the content could not be stored, so other replicas could not serve it
	nowhere
)

// found is an answer for a client.
type found[A any] struct {
	answer  A
	checked time.Time // when the upstream was asked, by this process's clock
	stale   error     // why the upstream gave no answer now; nil if the answer is fresh
	// unstored is why the answer could not be recorded for other replicas; nil if it was, or need not be.
	unstored error
}

// resolve answers from a fresh record, otherwise as the upstream says now, and from the stale record if the upstream does not
// answer in time. If insist, it asks the upstream even if the record is fresh.
func (k *records[V, A]) resolve(ctx context.Context, s subject, insist bool) (found[A], error) {
	r, err := k.recall(ctx, s, insist)
	switch {
	case errors.Is(err, backend.ErrNotFound):
		return k.discover(ctx, s)
	case err != nil:
		return found[A]{}, err
	case !insist && k.isFresh(s, r, k.m.Now()):
		answer, err := k.kind.answer(ctx, s, r.value)
		if err == nil {
			k.kind.count(s, answerFresh)
		}
		return found[A]{answer: answer, checked: r.asked}, err
	}
	return k.revalidate(ctx, s, r, insist)
}

// discover asks the upstream about a subject without a record.
func (k *records[V, A]) discover(ctx context.Context, s subject) (found[A], error) {
	if err := k.m.refusals.of(s.key); err != nil {
		return found[A]{}, err
	}
	f, err := shared(ctx, k.m, "first "+s.key, func(ctx context.Context) (found[A], error) {
		return k.askOnce(ctx, s, nil, false)
	})
	if err == nil {
		k.kind.count(s, answerFirst)
	}
	return f, err
}

// afterBudget is how much longer than the budget a question may take if it must end within its request: long enough to notice
// that the upstream is late.
const afterBudget = 500 * time.Millisecond

// revalidate asks the upstream about a subject whose record is not fresh, and serves the record stale if there is no answer
// within the budget.
func (k *records[V, A]) revalidate(ctx context.Context, s subject, r *record[V], insist bool) (found[A], error) {
	if err := k.m.refusals.of(s.key); err != nil && !insist {
		return k.serveStale(ctx, s, r, err)
	}
	u := k.m.upstream(s.repo)
	trouble := u.Trouble()
	if trouble != nil && !u.MayRevalidate() {
		return k.serveStale(ctx, s, r, trouble)
	}
	patience := questionTime
	if k.m.Freezes {
		patience = u.Budget() + afterBudget
	}
	q := k.questions.ask(ctx, s.key, patience, func(ctx context.Context) (found[A], error) {
		f, err := k.askOnce(ctx, s, r, insist)
		if err != nil {
			k.m.Log.Warn(k.events.notRevalidated, append(k.about(s), "checked", r.asked.Round(time.Second), "error", err)...)
		}
		return f, err
	})
	if trouble != nil && !insist && !k.m.Freezes {
		return k.serveStale(ctx, s, r, trouble)
	}
	var late <-chan time.Time // nil if the question ends within the request anyway
	if !k.m.Freezes {
		timer := time.NewTimer(u.Budget() - time.Since(q.began)) // latecomers wait only for the rest
		defer timer.Stop()
		late = timer.C
	}
	select {
	case <-ctx.Done():
		return found[A]{}, ctx.Err()
	case <-late:
		return k.serveStale(ctx, s, r, u.TooLate())
	case <-q.answered:
		if q.err != nil {
			return k.serveStale(ctx, s, r, q.err)
		}
		k.kind.count(s, answerRevalidated)
		return q.answer, nil
	}
}

// askOnce asks the upstream about a subject, unless another replica has asked since known was read. known is nil if there is
// no record.
func (k *records[V, A]) askOnce(ctx context.Context, s subject, known *record[V], insist bool) (found[A], error) {
	f, err := k.askInTurn(ctx, s, known, insist)
	k.m.refusals.learn(s.key, err)
	return f, err
}

func (k *records[V, A]) askInTurn(ctx context.Context, s subject, known *record[V], insist bool) (found[A], error) {
	began := k.m.Now()
	turns := k.m.leases.turns(k.kind.lease(s))
	defer turns.end(ctx)
	for {
		turn, err := turns.next(ctx)
		if err != nil {
			return found[A]{}, err
		}
		r, version, err := k.load(ctx, s.key)
		switch {
		case err == nil && k.isNews(s, r, known, insist, began):
			answer, err := k.kind.answer(ctx, s, r.value)
			return found[A]{answer: answer, checked: r.asked}, err
		case err != nil && !errors.Is(err, backend.ErrNotFound):
			return found[A]{}, err
		case !turn.own:
			continue
		}
		i := inquiry[V]{asked: k.m.Now(), known: r, version: version, replaceAfter: replaceAfter(err), conditions: turn.conditions}
		said, err := k.ask(ctx, s, known, insist)
		return k.recordReply(ctx, s, i, said, err)
	}
}

// isNews reports whether another replica has recorded r since known was read, so that the upstream need not be asked. A
// caller that insists wants an answer to a question that was asked after began.
func (k *records[V, A]) isNews(s subject, r, known *record[V], insist bool, began time.Time) bool {
	if known != nil && r.version == known.version || !r.gone.IsZero() {
		return false
	}
	now := k.m.Now()
	// What another replica has asked since is younger than the longest question.
	most := max(k.kind.ttl(s, r.value), questionTime)
	if insist {
		most = elapsed(began, now) + granularity
	}
	return r.fresh(now, most)
}

// inquiry is what a replica knows when it asks an upstream.
type inquiry[V any] struct {
	asked   time.Time    // when the upstream was asked, by this process's clock
	known   *record[V]   // nil if there is no record
	version backend.ETag // of the object that the answer will replace; empty: there is none
	// replaceAfter is when that object may be replaced; see record.
	replaceAfter time.Time
	conditions   bool // the store honors them
}

// ask asks the upstream about a subject. known is nil if there is no record.
func (k *records[V, A]) ask(ctx context.Context, s subject, known *record[V], insist bool) (reply[V, A], error) {
	if known == nil {
		return k.kind.fetch(ctx, s)
	}
	return k.kind.revalidate(ctx, s, known.value, !insist && k.mayServeStale(known, errScarce))
}

// recordReply records what the upstream said, or that the subject is gone, and returns the answer. If another replica has
// recorded a fresh answer meanwhile, it returns that one.
func (k *records[V, A]) recordReply(ctx context.Context, s subject, i inquiry[V], said reply[V, A], err error) (found[A], error) {
	if err != nil {
		if isGone(err) && i.known != nil && i.known.gone.IsZero() {
			gone := *i.known
			gone.gone = k.m.Now()
			if gone.undated {
				gone.asked, gone.undated = i.asked.Add(-min(k.kind.ttl(s, gone.value), forgotten)), false // not fresh
			}
			_, _ = k.record(ctx, s, &gone, i) // clients get the same answer; a failure is logged
		}
		return found[A]{}, err
	}
	r, f := &record[V]{value: said.value, asked: i.asked}, found[A]{answer: said.answer, checked: i.asked}
	switch said.keep {
	case inMemory:
		k.keepUnstored(s.key, r, i)
		f.unstored = errUnstored
	case inBucket:
		var theirs *record[V]
		theirs, f.unstored = k.record(ctx, s, r, i)
		if theirs == nil || !theirs.gone.IsZero() || !theirs.fresh(k.m.Now(), max(k.kind.ttl(s, theirs.value), questionTime)) {
			break
		}
		if answer, err := k.kind.cached(ctx, s, theirs.value); err == nil {
			return found[A]{answer: answer, checked: theirs.asked}, nil
		}
	}
	return f, nil
}

// errUnstored means that the bucket has not accepted the content that a record would refer to.
var errUnstored = errors.New("the bucket did not accept the content")
