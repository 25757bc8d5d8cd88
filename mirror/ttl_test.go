package mirror_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/mirror"
	"github.com/entrepot-io/entrepot/upstream/upstreamtest"
)

func TestFirstMatchingTTLRuleCounts(t *testing.T) {
	rules, err := mirror.ParseTTLRules(" docker.io/library/*:*=1h, *:v*.*.*=forever,corp:5000/*:*=10m,*:latest=0s ", time.ParseDuration)
	require.NoError(t, err)
	for name, want := range map[string]time.Duration{
		"docker.io/library/nginx:latest": time.Hour,
		"docker.io/library/nginx:v1.2.3": time.Hour,
		"docker.io/org/app:v1.2.3":       mirror.Forever,
		"ghcr.io/a/b/c:v1.2.3-rc.1":      mirror.Forever,
		"ghcr.io/org/app:v1.2":           time.Minute,
		"ghcr.io/org/app:1.2.3":          time.Minute,
		"ghcr.io/org/app:latest":         0,
		"ghcr.io/org/app:not-latest":     time.Minute,
		"corp:5000/app:1":                10 * time.Minute,
		"corp:5000/app:latest":           10 * time.Minute,
		"xcorp:5000/app:1":               time.Minute,
	} {
		assert.Equal(t, want, rules.Of(name, time.Minute), name)
	}
	// Only the star is special.
	rules, err = mirror.ParseTTLRules("a.b/c:[x]*=1h", time.ParseDuration)
	require.NoError(t, err)
	assert.Equal(t, time.Minute, rules.Of("axb/c:[x]1", time.Minute))
	assert.Equal(t, time.Minute, rules.Of("a.b/c:x1", time.Minute))
	assert.Equal(t, time.Hour, rules.Of("a.b/c:[x]1", time.Minute))
}

func TestInvalidTTLRuleIsRefused(t *testing.T) {
	for _, text := range []string{
		"", " , ", "latest", "*=1h", "*:latest", "*:=1h", ":latest=1h", "*:latest=soon", "*:latest=", "*:latest=-1s",
		"corp:5000/app=1h", "a:b=1h,c",
	} {
		_, err := mirror.ParseTTLRules(text, time.ParseDuration)
		assert.Error(t, err, "%q", text)
	}
}

func TestForeverFreshTagIsRequestedOnce(t *testing.T) {
	reg := upstreamtest.Start(t, upstreamtest.Options{})
	reg.Image("library/app", "v1.0.0", 100)
	reg.Image("library/app", "latest", 100)
	store := newStore(t)
	rules, err := mirror.ParseTTLRules("*:v*.*.*=forever,*:latest=10s", time.ParseDuration)
	require.NoError(t, err)
	r := startReplicaWith(t, store, reg, mirror.Config{TagTTLRules: rules})
	r.mustGet(t, "app", "v1.0.0")
	r.mustGet(t, "app", "latest")
	r.clock.Advance(11 * time.Second)
	r.mustGet(t, "app", "latest")
	assert.Equal(t, 1, reg.Counts().Requests[upstreamtest.ManifestHead])
	r.clock.Advance(10 * 365 * 24 * time.Hour)
	r.mustGet(t, "app", "v1.0.0")
	assert.Equal(t, 1, reg.Counts().Requests[upstreamtest.ManifestHead])

	// A client of any replica can insist on a revalidation.
	moved := reg.Image("library/app", "v1.0.0", 200)
	other := startReplicaWith(t, store, reg, mirror.Config{TagTTLRules: rules})
	other.clock.Advance(11*time.Second + 10*365*24*time.Hour)
	assert.Equal(t, moved.Digest, other.revalidate(t, "app", "v1.0.0").Digest)
	r.clock.Advance(time.Minute)
	assert.Equal(t, moved.Digest, r.mustGet(t, "app", "v1.0.0").Digest)
}
