package upstream_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/upstream"
)

// left answers 200 with a quota of 100 pulls, of which some remain.
func left(remaining int) behaviour {
	return answers(200, "RateLimit-Limit: 100;w=21600", fmt.Sprintf("RateLimit-Remaining: %d;w=21600", remaining),
		"Docker-RateLimit-Source: 192.0.2.1")
}

func TestQuotaIsScarceBelowReserve(t *testing.T) {
	bubble(t, alone, func(t *testing.T, n *network, c client) {
		assert.False(t, c.Scarce(), "no quota is known")
		n.set(origin, left(10))
		require.NoError(t, c.head())
		assert.False(t, c.Scarce())
		assert.Equal(t, &upstream.Quota{Limit: 100, Remaining: 10, Window: 6 * time.Hour, Source: "192.0.2.1", At: time.Now()},
			c.Status()[0].Quota)
		n.set(origin, left(9))
		require.NoError(t, c.get())
		assert.True(t, c.Scarce())
		n.set(origin, answers(200))
		require.NoError(t, c.get(), "a response without the headers")
		require.NoError(t, c.blob())
		assert.True(t, c.Scarce())

		time.Sleep(6*time.Hour - time.Nanosecond)
		assert.True(t, c.Scarce())
		time.Sleep(time.Nanosecond)
		assert.False(t, c.Scarce(), "the quota's window is over")
		assert.Nil(t, c.Status()[0].Quota)
	})
}

func Test429ReportsQuota(t *testing.T) {
	bubble(t, alone, func(t *testing.T, n *network, c client) {
		n.set(origin, answers(429, "RateLimit-Limit: 100;w=21600", "RateLimit-Remaining: 0;w=21600"))
		require.Error(t, c.get())
		assert.True(t, c.Scarce())
	})
}

func TestStorageHeadersAreNoQuota(t *testing.T) {
	bubble(t, alone, func(t *testing.T, n *network, c client) {
		n.set(origin, answers(307, "Location: https://cdn.example/manifest"))
		n.set("cdn.example", left(1))
		require.NoError(t, c.get())
		assert.Nil(t, c.Status()[0].Quota)
	})
}

func TestBlobLimitIsNoManifestQuota(t *testing.T) {
	bubble(t, alone, func(t *testing.T, n *network, c client) {
		n.set(origin, left(1))
		require.NoError(t, c.blob())
		assert.Nil(t, c.Status()[0].Quota)
	})
}

func TestQuotaOfEndpointInUseCounts(t *testing.T) {
	bubble(t, both, func(t *testing.T, n *network, c client) {
		n.set(nearby, left(1))
		n.set(origin, left(50))
		require.NoError(t, c.get())
		assert.True(t, c.Scarce())
		n.set(nearby, answers(429))
		require.NoError(t, c.get())
		assert.False(t, c.Scarce())
		n.set(origin, left(1))
		require.NoError(t, c.get())
		assert.True(t, c.Scarce())
	})
}

func TestNothingScarceWithoutReserve(t *testing.T) {
	n := new(network)
	n.set(origin, left(0))
	c := n.clientWith(t, upstream.Config{}, origin)
	require.NoError(t, c.get())
	assert.False(t, c.Scarce())
}
