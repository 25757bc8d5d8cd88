package s3rules

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

const (
	firstPause = 100 * time.Millisecond // upper limit of the pause before the second attempt; doubles each time
	maxPause   = 3 * time.Second        // upper limit of later pauses
)

// attempts is how many attempts a request is worth, depending on the last failure.
type attempts int

const (
	final attempts = 1 // another attempt would fail in the same way
	once  attempts = 2 // one more: the store stalled, or the first attempt corrected the cause
	// few is for a missing response or one that says the server is broken. Callers that can wait for a store to come back
	// retry themselves.
	few  attempts = 4
	many attempts = 8 // the store is busy
)

// retryable is the error of a request that is worth more than one attempt.
type retryable struct {
	error
	attempts attempts
}

func (u retryable) Unwrap() error { return u.error }

// Tries counts the attempts at one request and waits between them. It replaces the retries of the SDKs, which differ, stop
// when a budget shared by all requests is used up, and report the end of the context instead of the store's reason.
type Tries struct {
	ctx    context.Context
	made   int
	before error // of the attempt before the last
}

// NewTries returns the tries of a request made with ctx.
func NewTries(ctx context.Context) *Tries { return &Tries{ctx: ctx} }

// Again waits until the next attempt is due and returns nil. If no attempt is left, it returns the error to report.
func (t *Tries) Again(err error) error {
	t.made++
	limit := final
	if u, ok := errors.AsType[retryable](err); ok {
		limit = u.attempts
	}
	switch {
	case t.ctx.Err() != nil && t.before != nil && errors.Is(err, t.ctx.Err()):
		return fmt.Errorf("%w; previous attempt: %v", err, t.before) //nolint:errorlint // callers must not decide by it
	case t.ctx.Err() != nil || t.made >= int(limit):
		return err
	}
	t.before = err
	// Full jitter, so that clients refused at the same time do not come back at the same time.
	pause := time.NewTimer(rand.N(min(firstPause<<(t.made-1), maxPause)))
	defer pause.Stop()
	select {
	case <-pause.C:
		return nil
	case <-t.ctx.Done():
		return fmt.Errorf("%w; %w before the next attempt", err, t.ctx.Err())
	}
}

// Retry makes a request until it succeeds, its error is final, or ctx ends.
func Retry[T any](ctx context.Context, request func() (T, error)) (T, error) {
	for tries := NewTries(ctx); ; {
		result, err := request()
		if err == nil {
			return result, nil
		}
		if err = tries.Again(err); err != nil {
			return result, err
		}
	}
}
