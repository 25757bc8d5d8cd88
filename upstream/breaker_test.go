package upstream_test

import (
	"context"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/upstream"
)

const origin = "origin.example"

// alone lists the endpoints of an upstream that has only one.
var alone = []string{origin}

func TestFailingEndpointBecomesUnavailable(t *testing.T) {
	for name, failing := range map[string]struct {
		behaviour
		status int
	}{
		"no connection": {refusesConnections, 0},
		"408":           {answers(408), 408},
		"500":           {answers(500), 500},
		"503":           {answers(503), 503},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, alone, func(t *testing.T, n *network, c client) {
				n.set(origin, failing.behaviour)
				for range 5 {
					require.NoError(t, c.Trouble())
					assert.Zero(t, failure(t, c.get()).RetryAfter, "the request is not held back")
				}
				assert.Equal(t, upstream.StateUnavailable, c.state(0))
				asked := n.count(origin)
				if failing.status != 0 {
					assert.Equal(t, 5, asked)
				}
				for _, ask := range []func() error{c.get, c.head, c.blob, c.Trouble} {
					held := failure(t, ask())
					assert.Equal(t, failing.status, held.Status)
					assert.Equal(t, 5*time.Second, held.RetryAfter)
					assert.ErrorContains(t, held, "requests resume in 5s")
				}
				assert.Zero(t, n.count(origin))
				assert.Contains(t, c.Status()[0].Reason, "docker.io")
			})
		})
	}
}

func TestResponseResetsFailureCount(t *testing.T) {
	for _, status := range []int{200, 401, 403, 404, 405} {
		bubble(t, alone, func(t *testing.T, n *network, c client) {
			for range 4 {
				n.set(origin, answers(500))
				for range 4 {
					assert.Equal(t, 500, failure(t, c.get()).Status)
				}
				n.set(origin, answers(status))
				_ = c.get() // any response counts
			}
			assert.Equal(t, upstream.StateHealthy, c.state(0))
			assert.Equal(t, 20, n.count(origin))
		})
	}
}

// open makes a client's only endpoint unavailable.
func open(t *testing.T, n *network, c client) {
	t.Helper()
	n.set(origin, answers(500))
	for range 5 {
		require.Error(t, c.get())
	}
	require.Equal(t, upstream.StateUnavailable, c.state(0))
	n.count(origin)
}

func TestOneProbeAtATime(t *testing.T) {
	bubble(t, alone, func(t *testing.T, n *network, c client) {
		open(t, n, c)
		n.set(origin, after(time.Second, answers(200)))
		time.Sleep(5*time.Second - time.Nanosecond)
		require.Error(t, c.get())
		require.Zero(t, n.count(origin), "the pause is not over")
		time.Sleep(time.Nanosecond)
		probed := make(chan error)
		go func() { probed <- c.get() }()
		synctest.Wait()
		for range 3 {
			held := failure(t, c.get())
			assert.Equal(t, 500, held.Status)
			assert.Equal(t, time.Second, held.RetryAfter, "the least pause, while a probe is in progress")
		}
		require.NoError(t, <-probed)
		assert.Equal(t, 1, n.count(origin))
		assert.NoError(t, c.Trouble())
		for range 3 {
			go func() { probed <- c.get() }()
		}
		for range 3 {
			require.NoError(t, <-probed)
		}
		assert.Equal(t, upstream.EndpointStatus{URL: "https://" + origin, State: upstream.StateHealthy}, c.Status()[0])
	})
}

func TestPausesGrowWhileProbesFail(t *testing.T) {
	bubble(t, alone, func(t *testing.T, n *network, c client) {
		open(t, n, c)
		for _, pause := range []time.Duration{5, 10, 20, 40, 60, 60} {
			pause *= time.Second
			assert.Equal(t, pause, time.Until(c.Status()[0].Until))
			time.Sleep(pause - time.Nanosecond)
			require.Error(t, c.get())
			require.Zero(t, n.count(origin))
			time.Sleep(time.Nanosecond)
			require.Error(t, c.get())
			require.Equal(t, 1, n.count(origin))
		}
		n.set(origin, answers(200))
		time.Sleep(time.Minute)
		require.NoError(t, c.get())
		n.set(origin, answers(500))
		for range 5 {
			require.Error(t, c.get())
		}
		assert.Equal(t, 5*time.Second, time.Until(c.Status()[0].Until), "pauses start over")
	})
}

func TestAbandonedProbeLetsNextOneGo(t *testing.T) {
	for name, leave := range map[string]func(context.Context) (context.Context, context.CancelFunc){
		"cancelled": context.WithCancel,
		"timed out": func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, time.Second)
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, alone, func(t *testing.T, n *network, c client) {
				open(t, n, c)
				n.set(origin, hangs)
				time.Sleep(5 * time.Second)
				ctx, cancel := leave(t.Context())
				gone := make(chan error)
				go func() {
					_, err := c.GetManifest(ctx, repository(t, "app"), tag(t, "1"))
					gone <- err
				}()
				time.Sleep(time.Second)
				cancel()
				require.Error(t, <-gone)
				n.set(origin, answers(200))
				require.NoError(t, c.get())
			})
		})
	}
}

func TestCancelledRequestsAreNoFailures(t *testing.T) {
	for name, test := range map[string]struct {
		stays time.Duration
		state string
	}{
		"within the budget": {2 * time.Second, upstream.StateHealthy},
		"after the budget":  {4 * time.Second, upstream.StateSlow},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, alone, func(t *testing.T, n *network, c client) {
				n.set(origin, hangs)
				for range 10 {
					ctx, cancel := context.WithCancel(t.Context())
					time.AfterFunc(test.stays, cancel)
					_, err := c.GetManifest(ctx, repository(t, "app"), tag(t, "1"))
					require.ErrorIs(t, err, context.Canceled)
				}
				assert.Equal(t, test.state, c.state(0))
			})
		})
	}
}

func TestRetryAfterOf429IsObeyed(t *testing.T) {
	for _, test := range []struct {
		header string
		pauses []time.Duration
	}{
		{"Retry-After: 42", []time.Duration{42 * time.Second, 42 * time.Second}},
		{"Retry-After: 1", []time.Duration{time.Second, time.Second}},
		{"Retry-After: 86400", []time.Duration{time.Hour, time.Hour}},
		{"X-None: 1", []time.Duration{30 * time.Second, time.Minute, time.Minute}},
	} {
		bubble(t, alone, func(t *testing.T, n *network, c client) {
			n.set(origin, answers(429, test.header))
			for _, pause := range test.pauses {
				require.Equal(t, 429, failure(t, c.get()).Status)
				require.Equal(t, 1, n.count(origin))
				time.Sleep(pause - time.Nanosecond)
				for _, ask := range []func() error{c.get, c.head, c.blob, c.Trouble} {
					assert.Equal(t, 429, failure(t, ask()).Status)
				}
				require.Zero(t, n.count(origin))
				time.Sleep(time.Nanosecond)
			}
			n.set(origin, answers(200))
			require.NoError(t, c.get())
			assert.NoError(t, c.Trouble())
		})
	}
}

// Requests that were in flight when the first 429 arrived add nothing new.
func TestConcurrent429sCountOnce(t *testing.T) {
	bubble(t, alone, func(t *testing.T, n *network, c client) {
		n.set(origin, answers(200))
		require.NoError(t, c.get()) // learns which authentication the endpoint wants
		n.set(origin, after(time.Second, answers(429)))
		errs := make(chan error)
		for range 20 {
			go func() { errs <- c.get() }()
		}
		for range 20 {
			require.Error(t, <-errs)
		}
		assert.Equal(t, 30*time.Second, time.Until(c.Status()[0].Until))
	})
}

func TestLater429KeepsLongerPause(t *testing.T) {
	bubble(t, alone, func(t *testing.T, n *network, c client) {
		n.set(origin, answers(200))
		require.NoError(t, c.get())
		n.set(origin, after(time.Second, answers(429, "Retry-After: 1")))
		second := make(chan error)
		go func() { second <- c.get() }()
		synctest.Wait()
		n.set(origin, answers(429, "Retry-After: 60"))
		require.Error(t, c.get())
		require.Error(t, <-second)
		assert.Equal(t, 59*time.Second, time.Until(c.Status()[0].Until))
	})
}

func TestProbeAfter429FailsDifferently(t *testing.T) {
	bubble(t, alone, func(t *testing.T, n *network, c client) {
		n.set(origin, answers(429, "Retry-After: 7"))
		require.Error(t, c.get())
		n.set(origin, answers(500))
		time.Sleep(7 * time.Second)
		require.Error(t, c.get())
		assert.Equal(t, 14*time.Second, time.Until(c.Status()[0].Until))
		assert.Equal(t, 500, failure(t, c.Trouble()).Status)
	})
}

func TestTokenService429CountsForEndpoint(t *testing.T) {
	bubble(t, alone, func(t *testing.T, n *network, c client) {
		n.set(origin, answers(401, `WWW-Authenticate: Bearer realm="https://auth.example/token"`))
		n.set("auth.example", answers(429))
		require.Equal(t, 429, failure(t, c.get()).Status)
		assert.Equal(t, upstream.StateUnavailable, c.state(0))
	})
}

func TestUsedUpQuotaHoldsBackOnlyPulls(t *testing.T) {
	bubble(t, alone, func(t *testing.T, n *network, c client) {
		usedUp := answers(429, "Retry-After: 600", "RateLimit-Limit: 100;w=21600", "RateLimit-Remaining: 0;w=21600")
		n.set(origin, on(http.MethodGet, "manifests", usedUp, answers(200)))
		require.Equal(t, 429, failure(t, c.get()).Status)
		assert.Equal(t, upstream.StateHealthy, c.state(0))
		assert.NoError(t, c.Trouble())
		assert.Equal(t, 10*time.Minute, time.Until(c.Status()[0].Until))
		require.NoError(t, c.head())
		require.NoError(t, c.blob())
		n.count(origin)
		assert.Equal(t, 10*time.Minute, failure(t, c.get()).RetryAfter)
		assert.Zero(t, n.count(origin), "requests that do not count reveal nothing about the quota")
		n.set(origin, answers(500))
		time.Sleep(10 * time.Minute)
		assert.Equal(t, 500, failure(t, c.get()).Status, "a 500 reveals nothing about the quota")
		n.set(origin, answers(200))
		require.NoError(t, c.head())
		assert.NotZero(t, c.Status()[0].Until)
		require.NoError(t, c.get())
		assert.Zero(t, c.Status()[0].Until)
	})
}

func TestBlobLimitIsNoPullQuota(t *testing.T) {
	bubble(t, alone, func(t *testing.T, n *network, c client) {
		n.set(origin, answers(429, "RateLimit-Limit: 100", "RateLimit-Remaining: 0"))
		require.Error(t, c.blob())
		require.Error(t, c.head())
		assert.Equal(t, 1, n.count(origin))
	})
}

func TestStorageFailureSparesEndpoint(t *testing.T) {
	for name, behaviour := range map[string]behaviour{
		"429":           answers(429, "Retry-After: 60"),
		"503":           answers(503),
		"no connection": refusesConnections,
		"hangs":         hangs,
		"slow":          after(5*time.Second, answers(200)),
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, alone, func(t *testing.T, n *network, c client) {
				n.set(origin, answers(307, "Location: https://cdn.example/blob"))
				n.set("cdn.example", behaviour)
				for range 7 {
					_ = c.blob() // fails or not
				}
				assert.Equal(t, 7, n.count(origin))
				assert.Equal(t, upstream.EndpointStatus{URL: "https://" + origin, State: upstream.StateHealthy}, c.Status()[0])
			})
		})
	}
}

func TestRejectedRedirectCountsAsResponse(t *testing.T) {
	bubble(t, alone, func(t *testing.T, n *network, c client) {
		n.set(origin, answers(307, "Location: http://cdn.example/blob"))
		for range 7 {
			require.ErrorContains(t, c.blob(), "not following")
		}
		assert.Equal(t, upstream.StateHealthy, c.state(0))
	})
}

func TestOtherUpstreamsAreNotAffected(t *testing.T) {
	n := new(network)
	c, other := n.client(t, origin), n.client(t, "other.example")
	n.set(origin, answers(429))
	n.set("other.example", answers(200))
	require.Error(t, c.get())
	require.Error(t, c.Trouble())
	require.NoError(t, other.get())
	assert.NoError(t, other.Trouble())
}
