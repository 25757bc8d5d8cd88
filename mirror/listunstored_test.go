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

// subjectDigest is the subject of referrers.
var subjectDigest = digest.FromString("subject")

// lists requests the tags of a repository and the referrers of subjectDigest, and checks that both responses start in time.
func (r replica) lists(t *testing.T, path string) (tags, referrers int, lists [2]mirror.List) {
	t.Helper()
	began := time.Now()
	names, list, err := r.tags(t, path, "")
	require.NoError(t, err)
	require.LessOrEqual(t, time.Since(began), 20*time.Second)
	lists[0] = list
	began = time.Now()
	manifests, list, err := r.referrers(t, path, subjectDigest)
	require.NoError(t, err)
	require.LessOrEqual(t, time.Since(began), 20*time.Second)
	lists[1] = list
	return len(names), len(manifests), lists
}

func TestListsServedFromUnwritableStore(t *testing.T) {
	inReadOnlyStores(t, func(t *testing.T, o *origin, store *readOnly, start func() replica) {
		writer := bubbled(t, store.Store, o, mirror.Config{})
		writer.lists(t, "kept")
		stored := keys(t, store, "public/lists/")
		time.Sleep(2 * time.Minute)
		r := start()
		o.set(func(o *origin) {
			o.tags = `{"name":"library/app","tags":["1","2"]}`
			o.body = `{"manifests":[{"digest":"` + subjectDigest.String() + `"}]}`
		})
		paths := []string{"kept", "new"}
		for _, path := range paths {
			r.lists(t, path) // a store that hangs may take longer than the upstream's budget
		}
		time.Sleep(20 * time.Second)
		asked := o.count(http.MethodGet)
		for _, path := range paths {
			tags, referrers, lists := r.lists(t, path)
			assert.Equal(t, 2, tags)
			assert.Equal(t, 1, referrers)
			for _, list := range lists {
				assert.NoError(t, list.Stale)
			}
		}
		assert.Equal(t, asked, o.count(http.MethodGet), "the lists are kept in memory")
		assert.Equal(t, stored, keys(t, store, "public/lists/"))

		o.set(func(o *origin) { o.status = http.StatusServiceUnavailable })
		time.Sleep(2 * time.Minute)
		for _, path := range paths {
			tags, referrers, lists := r.lists(t, path)
			assert.Equal(t, 2, tags)
			assert.Equal(t, 1, referrers)
			for _, list := range lists {
				assert.Error(t, list.Stale)
			}
		}

		o.set(func(o *origin) { o.status = 0 })
		store.set(nil)
		for range 2 { // the first request after an outage may be the one that notices its end
			time.Sleep(2 * time.Minute)
			for _, path := range paths {
				r.lists(t, path)
			}
		}
		assert.Len(t, keys(t, store, "public/lists/"), 2*len(stored))
	})
}
