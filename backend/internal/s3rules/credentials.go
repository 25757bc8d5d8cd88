package s3rules

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"golang.org/x/sync/singleflight"
)

const (
	// renewAhead is the time between the background renewal of credentials and the moment when they have only the required
	// time left.
	renewAhead = time.Minute
	// renewPause is the pause between attempts. EC2 and ECS issue new credentials only minutes before the old ones expire.
	renewPause = time.Minute
	// renewTimeout bounds one attempt, since a client may wait for it.
	renewTimeout = 10 * time.Second
)

// Credentials caches credentials and renews them in advance. The SDKs do so too, but only minutes ahead. One of them, when
// configured to renew earlier, no longer reports the real expiry.
type Credentials struct {
	fetch  func(context.Context) (aws.Credentials, error)
	left   time.Duration
	held   atomic.Pointer[credential]
	flight singleflight.Group
}

// credential is the result of one fetch. Its address identifies it.
type credential struct {
	aws.Credentials
	renew atomic.Int64 // when to renew, in nanoseconds since 1970; 0: never
}

// NewCredentials returns a cache for fetch, which is never called concurrently. The returned credentials are valid for at
// least left, if the source issues such.
func NewCredentials(fetch func(context.Context) (aws.Credentials, error), left time.Duration) *Credentials {
	return &Credentials{fetch: fetch, left: left}
}

// Retrieve implements aws.CredentialsProvider.
func (c *Credentials) Retrieve(ctx context.Context) (aws.Credentials, error) {
	held, err := c.get(ctx, time.Now())
	if err != nil {
		return aws.Credentials{}, err
	}
	return held.Credentials, nil
}

// get returns credentials that are valid at now.
func (c *Credentials) get(ctx context.Context, now time.Time) (*credential, error) {
	held := c.held.Load()
	if held != nil && !held.due(now) {
		return held, nil
	}
	// The fetch outlives the caller that started it, since others may wait for it.
	renewed := c.flight.DoChan("", func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), renewTimeout)
		defer cancel()
		return c.renew(ctx, now)
	})
	if held != nil && held.lasts(now.Add(c.left)) {
		return held, nil
	}
	select {
	case r := <-renewed:
		if r.Err != nil {
			return nil, fmt.Errorf("fetch credentials: %w", r.Err)
		}
		return r.Val.(*credential), nil
	case <-ctx.Done():
		return nil, fmt.Errorf("fetch credentials: %w", ctx.Err())
	}
}

// renew replaces the cached credentials. If it gets no new ones, it keeps the old ones until they expire.
func (c *Credentials) renew(ctx context.Context, now time.Time) (*credential, error) {
	held := c.held.Load()
	if held != nil && !held.due(now) {
		return held, nil // renewed by the previous flight
	}
	got, err := c.fetch(ctx)
	keep := held != nil && held.lasts(now)
	switch {
	case err != nil && !keep:
		return nil, err
	case err != nil, keep && same(got, held.Credentials):
		held.renew.Store(now.Add(renewPause).UnixNano())
		return held, nil
	}
	fresh := &credential{Credentials: got}
	if got.CanExpire {
		at := got.Expires.Add(-c.left - renewAhead)
		if soonest := now.Add(renewPause); at.Before(soonest) {
			at = soonest
		}
		fresh.renew.Store(at.UnixNano())
	}
	c.held.Store(fresh)
	return fresh, nil
}

func (c *credential) due(now time.Time) bool {
	at := c.renew.Load()
	return at != 0 && now.UnixNano() >= at || !c.lasts(now)
}

func (c *credential) lasts(until time.Time) bool { return !c.CanExpire || c.Expires.After(until) }

func same(a, b aws.Credentials) bool {
	return a.AccessKeyID == b.AccessKeyID && a.SecretAccessKey == b.SecretAccessKey && a.SessionToken == b.SessionToken &&
		a.CanExpire == b.CanExpire && a.Expires.Equal(b.Expires)
}
