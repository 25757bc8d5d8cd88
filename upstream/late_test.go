package upstream_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/upstream"
)

// hang makes a client's only endpoint hang until a request has waited longer than the budget. That request's error arrives
// on the channel.
func hang(t *testing.T, n *network, c client) (ended <-chan error) {
	t.Helper()
	n.set(origin, answers(200))
	require.NoError(t, c.head())
	n.set(origin, hangs)
	first := make(chan error, 1)
	go func() { first <- c.head() }()
	time.Sleep(3*time.Second - time.Nanosecond)
	synctest.Wait()
	require.NoError(t, c.Trouble())
	time.Sleep(time.Nanosecond)
	synctest.Wait()
	n.count(origin)
	return first
}

func TestOptionalRequestSkipsHangingEndpoint(t *testing.T) {
	bubble(t, alone, func(t *testing.T, n *network, c client) {
		first := hang(t, n, c)
		began := time.Now()
		for _, ask := range []func() error{c.head, c.Trouble} {
			held := failure(t, ask())
			assert.ErrorIs(t, held, context.DeadlineExceeded)
			assert.True(t, held.Timeout())
			assert.Equal(t, 5*time.Second, held.RetryAfter)
		}
		assert.Zero(t, n.count(origin))
		assert.Equal(t, upstream.StateSlow, c.state(0))
		assert.Equal(t, began, time.Now(), "none of these waits")

		byDigest := func() error {
			_, err := c.HeadManifest(t.Context(), repository(t, "app"), upstream.ByDigest(digest.FromString("")))
			return err
		}
		for _, ask := range []func() error{c.get, c.blob, byDigest} { // required requests are still sent
			go func() { _ = ask() }()
		}
		synctest.Wait()
		assert.Equal(t, 3, n.count(origin))
		require.Error(t, <-first)
	})
}

func TestOneProbeAtATimeForHangingEndpoint(t *testing.T) {
	bubble(t, alone, func(t *testing.T, n *network, c client) {
		first := hang(t, n, c)
		for _, pause := range []time.Duration{5, 10, 20} {
			time.Sleep(pause*time.Second - time.Nanosecond)
			require.Error(t, c.head())
			require.Zero(t, n.count(origin))
			time.Sleep(time.Nanosecond)
			probe := make(chan error)
			go func() { probe <- c.head() }()
			synctest.Wait()
			require.Error(t, c.head(), "a probe is in progress")
			require.Error(t, <-probe)
			require.Equal(t, 1, n.count(origin))
		}
		require.Error(t, <-first)
		assert.Equal(t, 40*time.Second, time.Until(c.Status()[0].Until))
		n.set(origin, answers(200))
		time.Sleep(40 * time.Second)
		require.NoError(t, c.head())
		require.NoError(t, c.Trouble())
		require.NoError(t, c.head())
	})
}

func TestOneLostRequestDoesNotMarkSlow(t *testing.T) {
	bubble(t, alone, func(t *testing.T, n *network, c client) {
		n.set(origin, answers(200))
		require.NoError(t, c.head())
		n.set(origin, hangs)
		lost := make(chan error)
		go func() { lost <- c.head() }()
		time.Sleep(time.Second)
		n.set(origin, answers(200))
		require.NoError(t, c.head())
		time.Sleep(3 * time.Second)
		assert.NoError(t, c.Trouble())
		require.Error(t, <-lost)
		assert.NoError(t, c.Trouble())
	})
}

func TestFailedProbeKeepsEndpointSlow(t *testing.T) {
	bubble(t, alone, func(t *testing.T, n *network, c client) {
		first := hang(t, n, c)
		n.set(origin, refusesConnections)
		time.Sleep(5 * time.Second)
		require.ErrorIs(t, c.head(), errRefused)
		held := failure(t, c.head())
		assert.ErrorIs(t, held, errRefused)
		assert.Equal(t, 10*time.Second, held.RetryAfter)
		require.Error(t, <-first)
	})
}

func TestAnyResponseEndsSlowState(t *testing.T) {
	for _, status := range []int{200, 404, 500} {
		bubble(t, alone, func(t *testing.T, n *network, c client) {
			first := hang(t, n, c)
			n.set(origin, answers(status))
			_ = c.get() // any response counts
			assert.NoError(t, c.Trouble())
			n.set(origin, answers(200))
			require.NoError(t, c.head())
			require.Error(t, <-first)
			assert.NoError(t, c.Trouble(), "the lost request began before the response")
		})
	}
}

func TestLongHangMakesEndpointUnavailable(t *testing.T) {
	bubble(t, alone, func(t *testing.T, n *network, c client) {
		first := hang(t, n, c)
		for range 4 {
			require.Error(t, c.get())
		}
		require.Error(t, <-first)
		assert.Equal(t, upstream.StateUnavailable, c.state(0))
		n.count(origin)
		require.Error(t, c.get())
		assert.Zero(t, n.count(origin))
	})
}

func TestSlowEndpointUsedWithoutWaiting(t *testing.T) {
	bubble(t, alone, func(t *testing.T, n *network, c client) {
		n.set(origin, answers(200))
		require.NoError(t, c.head())
		n.set(origin, after(5*time.Second, answers(200)))
		for range 20 {
			began := time.Now()
			require.NoError(t, c.head())
			assert.Equal(t, 5*time.Second, time.Since(began))
			assert.Equal(t, upstream.StateSlow, c.state(0))
			assert.ErrorIs(t, failure(t, c.Trouble()), context.DeadlineExceeded)
			both := make(chan error)
			go func() { both <- c.head() }()
			time.Sleep(4 * time.Second)
			require.NoError(t, c.head(), "a slow endpoint is not silent")
			require.NoError(t, <-both)
		}
		n.set(origin, answers(200))
		require.NoError(t, c.head())
		assert.NoError(t, c.Trouble())

		n.set(origin, after(5*time.Second, answers(200)))
		require.NoError(t, c.head())
		n.set(origin, hangs)
		require.Error(t, c.head())
		n.count(origin)
		go func() { _ = c.head() }() // may be the probe
		synctest.Wait()
		require.Error(t, c.head())
		assert.LessOrEqual(t, n.count(origin), 1, "a slow endpoint that starts to hang gets one probe")
	})
}

func TestSlowProbeMayBeAbandoned(t *testing.T) {
	bubble(t, alone, func(t *testing.T, n *network, c client) {
		first := hang(t, n, c)
		time.Sleep(5 * time.Second)
		ctx, cancel := context.WithCancel(t.Context())
		gone := make(chan error)
		go func() {
			_, err := c.HeadManifest(ctx, repository(t, "app"), tag(t, "1"))
			gone <- err
		}()
		synctest.Wait()
		cancel()
		require.Error(t, <-gone)
		n.set(origin, answers(200))
		require.NoError(t, c.head())
		require.Error(t, <-first)
	})
}

// The first caller pings the endpoint to learn which authentication it wants, and the others wait for that ping.
func TestLeavingCallerDoesNotWaitForPing(t *testing.T) {
	bubble(t, alone, func(t *testing.T, n *network, c client) {
		n.set(origin, hangs)
		first := make(chan error)
		go func() { first <- c.get() }()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		_, err := c.GetManifest(ctx, repository(t, "app"), tag(t, "1"))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Equal(t, time.Second, time.Since(began))
		require.Error(t, <-first)
	})
}

func TestManyRequestsMoveAtOnce(t *testing.T) {
	bubble(t, both, func(t *testing.T, n *network, c client) {
		n.set(nearby, hangs)
		n.set(origin, answers(200))
		began := time.Now()
		errs := make(chan error)
		for range 10 {
			go func() { errs <- c.get() }()
		}
		for range 10 {
			require.NoError(t, <-errs)
		}
		assert.Equal(t, 3*time.Second, time.Since(began))
	})
}
