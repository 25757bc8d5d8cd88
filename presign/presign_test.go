package presign_test

import (
	"fmt"
	"net/url"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/backend/fs"
	"github.com/entrepot-io/entrepot/infra/testenv"
	"github.com/entrepot-io/entrepot/presign"
)

func untilOf(t *testing.T, signed string) time.Time {
	t.Helper()
	u, err := url.Parse(signed)
	require.NoError(t, err)
	seconds, err := strconv.ParseInt(u.Query().Get("until"), 10, 64)
	require.NoError(t, err)
	return time.Unix(seconds, 0)
}

func TestURLsAreValidForMinLeft(t *testing.T) {
	clock := testenv.NewClock()
	urls := newURLs(newSigning(), presign.Config{Expiry: time.Hour, MinLeft: 10 * time.Minute, Now: clock.Now})
	distinct := map[string]bool{}
	for range 480 {
		u := urls.get(t, "blob")
		left := untilOf(t, u).Sub(clock.Now())
		assert.GreaterOrEqual(t, left, 10*time.Minute)
		assert.LessOrEqual(t, left, time.Hour)
		distinct[u] = true
		clock.Advance(37 * time.Second) // just below 6 windows in total: 6 of them, or parts of 7
	}
	assert.InDelta(t, 6.5, len(distinct), 0.6)
	assert.Equal(t, len(distinct), urls.signatures(t), "one signature per URL")
}

func TestReplicasShareURLsWithinWindow(t *testing.T) {
	clock := testenv.NewClock()
	c := presign.Config{Expiry: time.Hour, MinLeft: 10 * time.Minute, Now: clock.Now}
	distinct := map[string]bool{}
	for range 200 {
		distinct[newURLs(newSigning(), c).get(t, "blob")] = true // a new replica each time
		clock.Advance(90 * time.Second)                          // 5 hours in total: 6 windows, or parts of 7
	}
	assert.InDelta(t, 6.5, len(distinct), 0.6)
}

func TestConcurrentRequestsShareSignature(t *testing.T) {
	urls := newURLs(newSigning(), presign.Config{Expiry: time.Hour})
	var all sync.WaitGroup
	for range 100 {
		all.Go(func() { urls.get(t, "blob") })
	}
	all.Wait()
	assert.Equal(t, 1, urls.signatures(t))
}

func TestNewCredentialsGiveNewURL(t *testing.T) {
	store := &signing{by: &signer{credentials: "one"}}
	urls := newURLs(store, presign.Config{Expiry: time.Hour})
	one := urls.get(t, "blob")
	store.by = &signer{credentials: "two"}
	two := urls.get(t, "blob")
	assert.NotEqual(t, one, two)
	assert.Equal(t, two, urls.get(t, "blob"))
	assert.Equal(t, 2, urls.signatures(t))
}

func TestExpiredURLIsNotReturned(t *testing.T) {
	clock := testenv.NewClock()
	store := &signing{by: &signer{expires: clock.Now().Add(20 * time.Minute)}}
	urls := newURLs(store, presign.Config{Expiry: time.Hour, MinLeft: 30 * time.Minute, Now: clock.Now})
	assert.Equal(t, store.by.expires.Unix(), untilOf(t, urls.get(t, "blob")).Unix(), "expires with its credentials")
	clock.Advance(20 * time.Minute)
	_, err := urls.Get(t.Context(), "blob")
	assert.ErrorContains(t, err, "expired")
}

func TestNoFutureURLAfterClockIsSetBack(t *testing.T) {
	clock := testenv.NewClock()
	urls := newURLs(newSigning(), presign.Config{Expiry: time.Hour, Now: clock.Now})
	later := urls.get(t, "blob")
	clock.Advance(-time.Hour)
	assert.True(t, untilOf(t, urls.get(t, "blob")).Before(untilOf(t, later)))
}

func TestCacheIsBounded(t *testing.T) {
	urls := newURLs(newSigning(), presign.Config{Expiry: time.Hour})
	for i := range 50_000 {
		urls.get(t, fmt.Sprint(i))
	}
	before := urls.signatures(t)
	for i := range 50_000 {
		urls.get(t, fmt.Sprint(i))
	}
	assert.Greater(t, urls.signatures(t)-before, 35_000, "most are not cached")
}

func TestNoURLsIfStoreCannotPresign(t *testing.T) {
	store, err := fs.Open(t.TempDir())
	require.NoError(t, err)
	assert.Nil(t, presign.New(store, presign.Config{Expiry: time.Hour}))
}

func TestGetFromCacheAllocatesNothing(t *testing.T) {
	urls := newURLs(newSigning(), presign.Config{Expiry: time.Hour, MinLeft: 10 * time.Minute})
	urls.get(t, "blob")
	ctx := t.Context()
	assert.Zero(t, testing.AllocsPerRun(1000, func() { _, _ = urls.Get(ctx, "blob") }))
}
