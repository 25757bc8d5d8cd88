package mirror_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/mirror"
)

// A record with a long TTL is not revalidated soon, so the first answer must reach the bucket later.
func TestTagIsStoredOnceStoreIsWritable(t *testing.T) {
	rules, err := mirror.ParseTTLRules("*:2=forever", time.ParseDuration)
	require.NoError(t, err)
	inReadOnlyStores(t, func(t *testing.T, o *origin, store *readOnly, _ func() replica) {
		r := bubbled(t, store, o, mirror.Config{TagTTLRules: rules})
		d := o.move()
		assert.Equal(t, d, soon(t, r, "2").Digest)
		asked := o.count(http.MethodGet) + o.count(http.MethodHead)
		store.set(nil)
		time.Sleep(2 * time.Minute)
		soon(t, r, "2") // stores the manifest
		soon(t, r, "2")
		assert.Contains(t, keys(t, store, "public/tags/"), "public/tags/docker.io/library/app/_/2")
		assert.Equal(t, asked, o.count(http.MethodGet)+o.count(http.MethodHead))

		o.set(func(o *origin) { o.status = http.StatusServiceUnavailable })
		assert.Equal(t, d, bubbled(t, store.Store, o, mirror.Config{TagTTLRules: rules}).mustGet(t, "app", "2").Digest)
	})
}

func TestMissingReferrersAPIIsStoredOnceWritable(t *testing.T) {
	inReadOnlyStores(t, func(t *testing.T, o *origin, store *readOnly, start func() replica) {
		r := start()
		o.set(func(o *origin) { o.status = http.StatusNotImplemented })
		_, _, err := r.referrers(t, "app", subjectDigest)
		requireStatus(t, http.StatusNotFound, err)
		asked := o.count(http.MethodGet)
		store.set(nil)
		time.Sleep(2 * time.Minute)
		_, _, err = r.referrers(t, "app", subjectDigest)
		requireStatus(t, http.StatusNotFound, err)
		_, _, err = r.referrers(t, "app", digest.FromString("another"))
		requireStatus(t, http.StatusNotFound, err)
		assert.Equal(t, asked, o.count(http.MethodGet))

		o.set(func(o *origin) { o.status = http.StatusServiceUnavailable })
		other := bubbled(t, store.Store, o, mirror.Config{})
		for _, d := range []digest.Digest{subjectDigest, digest.FromString("a third")} {
			_, _, err = other.referrers(t, "app", d)
			requireStatus(t, http.StatusNotFound, err)
		}
	})
}
