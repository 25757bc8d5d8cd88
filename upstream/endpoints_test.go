package upstream_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/upstream"
)

const nearby = "mirror.example"

// both lists the endpoints of an upstream that has a mirror.
var both = []string{nearby, origin}

func TestNextEndpointReplacesHangingOne(t *testing.T) {
	for name, ask := range map[string]func(client) error{"HEAD": client.head, "GET": client.get, "blob": client.blob} {
		t.Run(name, func(t *testing.T) {
			bubble(t, both, func(t *testing.T, n *network, c client) {
				n.set(nearby, answers(200))
				n.set(origin, answers(200))
				require.NoError(t, ask(c))
				require.Zero(t, n.count(origin))
				n.count(nearby)

				n.set(nearby, hangs)
				began := time.Now()
				require.NoError(t, ask(c))
				assert.Equal(t, 3*time.Second, time.Since(began))
				for range 5 {
					require.NoError(t, ask(c))
				}
				assert.Equal(t, 3*time.Second, time.Since(began), "the hanging endpoint is skipped")
				assert.Equal(t, 1, n.count(nearby))
				assert.Equal(t, []string{"slow", "healthy"}, []string{c.state(0), c.state(1)})
				assert.NoError(t, c.Trouble(), "the other endpoint is healthy")

				time.Sleep(5 * time.Second)
				began = time.Now()
				require.NoError(t, ask(c))
				require.NoError(t, ask(c))
				assert.Equal(t, 3*time.Second, time.Since(began), "only the probe waits, then uses the other endpoint")
				assert.Equal(t, 1, n.count(nearby))

				n.set(nearby, answers(200))
				time.Sleep(10*time.Second - time.Nanosecond)
				require.NoError(t, ask(c))
				require.Zero(t, n.count(nearby))
				time.Sleep(time.Nanosecond)
				n.count(origin)
				require.NoError(t, ask(c))
				require.NoError(t, ask(c))
				assert.Equal(t, 2, n.count(nearby))
				assert.Zero(t, n.count(origin))
				assert.Equal(t, "healthy", c.state(0))
			})
		})
	}
}

func TestNextEndpointReplacesFailingOne(t *testing.T) {
	bubble(t, both, func(t *testing.T, n *network, c client) {
		n.set(nearby, refusesConnections)
		n.set(origin, answers(200))
		for range 7 {
			require.NoError(t, c.get())
		}
		assert.LessOrEqual(t, n.count(nearby), 5)
		assert.Equal(t, []string{"unavailable", "healthy"}, []string{c.state(0), c.state(1)})
		assert.NoError(t, c.Trouble())
		n.set(nearby, answers(200))
		time.Sleep(5 * time.Second)
		n.count(origin)
		require.NoError(t, c.get())
		assert.Zero(t, n.count(origin))
	})
}

func TestResponseAtBudgetIsWholeOrNone(t *testing.T) {
	bubble(t, both, func(t *testing.T, n *network, c client) {
		n.set(nearby, answers(200))
		n.set(origin, answers(200))
		require.NoError(t, c.get())
		n.set(nearby, after(3*time.Second, answers(200)))
		for range 1000 {
			require.NoError(t, c.get())
			time.Sleep(time.Minute)
		}
	})
}

func TestLastEndpointGetsMoreTime(t *testing.T) {
	bubble(t, both, func(t *testing.T, n *network, c client) {
		n.set(nearby, answers(404))
		n.set(origin, after(8*time.Second, answers(200)))
		_ = c.head() // learns which authentication the endpoints want
		require.NoError(t, c.get())
		n.set(nearby, after(4*time.Second, answers(200)))
		n.set(origin, after(4*time.Second, answers(200)))
		began := time.Now()
		require.NoError(t, c.get())
		assert.Less(t, time.Since(began), 8*time.Second)
	})
}

func TestOnlyOriginDecidesNotFound(t *testing.T) {
	for name, test := range map[string]struct {
		mirror, origin behaviour
		status         int
	}{
		"neither has it":           {answers(404), answers(404), 404},
		"only the mirror fails":    {answers(500), answers(404), 404},
		"the mirror is down":       {refusesConnections, answers(404), 404},
		"the mirror hangs":         {hangs, answers(404), 404},
		"the mirror denies it":     {answers(403), answers(404), 404},
		"the origin is down":       {answers(404), refusesConnections, 0},
		"the origin fails":         {answers(404), answers(503), 503},
		"the origin hangs":         {answers(404), hangs, 0},
		"the origin has no quota":  {answers(404), answers(429, "RateLimit-Limit: 100;w=60", "RateLimit-Remaining: 0;w=60"), 429},
		"the origin is overloaded": {answers(404), answers(429), 429},
		"the origin denies it":     {answers(404), answers(401), 401},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, both, func(t *testing.T, n *network, c client) {
				n.set(nearby, test.mirror)
				n.set(origin, test.origin)
				for range 12 { // healthy, slow or unavailable
					assert.Equal(t, test.status, failure(t, c.get()).Status)
					assert.Equal(t, test.status, failure(t, c.revalidate()).Status)
				}
			})
		})
	}
}

func TestTimeoutIsNotReportedAsNotFound(t *testing.T) {
	bubble(t, both, func(t *testing.T, n *network, c client) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		n.set(nearby, func(req *http.Request) (*http.Response, error) {
			cancel()
			return answers(404)(req)
		})
		n.set(origin, answers(200))
		_, err := c.GetManifest(ctx, repository(t, "app"), tag(t, "1"))
		assert.Zero(t, failure(t, err).Status)
		assert.Equal(t, upstream.StateHealthy, c.state(0))
	})
}

func TestOriginFailureReportedIfAllUnavailable(t *testing.T) {
	bubble(t, both, func(t *testing.T, n *network, c client) {
		n.set(nearby, answers(500))
		n.set(origin, answers(429, "Retry-After: 9"))
		for range 5 {
			assert.Equal(t, 429, failure(t, c.get()).Status)
		}
		held := failure(t, c.get())
		assert.Equal(t, 429, held.Status)
		assert.Equal(t, 9*time.Second, held.RetryAfter)
		assert.Equal(t, held, c.Trouble())
	})
}
