package mirror_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/backend/backendtest/memory"
	"github.com/entrepot-io/entrepot/mirror"
)

// byNewerRelease makes the tag's record one of a newer release.
func byNewerRelease(t *testing.T, store backend.Store) map[string]any {
	t.Helper()
	rewrite(t, store, func(fields map[string]any) { fields["format"], fields["digest"] = 99, "not a digest any more" })
	return recordOf(t, store)
}

func TestRecordWithoutFormatHasFormat1(t *testing.T) {
	inBubble(t, func(t *testing.T, o *origin) {
		store := new(memory.Store)
		bubbled(t, store, o, mirror.Config{}).mustGet(t, "app", "1")
		assert.EqualValues(t, 1, recordOf(t, store)["format"])
		rewrite(t, store, func(fields map[string]any) { delete(fields, "format") })
		assert.Equal(t, o.digest(), bubbled(t, store, o, mirror.Config{}).mustGet(t, "app", "1").Digest)
		assert.Equal(t, 1, o.count(http.MethodGet))
	})
}

func TestNewerRecordIsNotReplacedWhileInUse(t *testing.T) {
	inBubble(t, func(t *testing.T, o *origin) {
		store := new(memory.Store)
		r := bubbled(t, store, o, mirror.Config{})
		r.mustGet(t, "app", "1")
		newer := byNewerRelease(t, store)
		other := bubbled(t, store, o, mirror.Config{})

		for range 3 {
			assert.Equal(t, o.digest(), other.mustGet(t, "app", "1").Digest)
		}
		assert.Equal(t, 2, o.count(http.MethodGet), "the record does not count")
		for range 3 {
			moved := o.move()
			time.Sleep(2 * time.Minute)
			for _, r := range []replica{r, other} {
				answer := r.mustGet(t, "app", "1")
				assert.Equal(t, moved, answer.Digest)
				assert.NoError(t, answer.Stale)
			}
		}
		assert.Equal(t, 5, o.count(http.MethodGet), "one GET for each new manifest")
		assert.ErrorContains(t, other.revalidate(t, "app", "1").Unstored, "newer release")
		assert.Equal(t, newer, recordOf(t, store))

		o.set(func(o *origin) { o.status = http.StatusServiceUnavailable })
		time.Sleep(2 * time.Minute)
		assert.Error(t, r.mustGet(t, "app", "1").Stale, "the copy in memory is served")
	})
}

func TestNewerRecordIsReplacedAfterAnHour(t *testing.T) {
	for name, remembers := range map[string]bool{"with a copy in memory": true, "without": false} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, o *origin) {
				store := new(memory.Store)
				r := bubbled(t, store, o, mirror.Config{})
				r.mustGet(t, "app", "1")
				byNewerRelease(t, store)
				if remembers {
					time.Sleep(2 * time.Minute)
					r.mustGet(t, "app", "1")
				} else {
					r = bubbled(t, store, o, mirror.Config{})
				}
				time.Sleep(61 * time.Minute)
				r.mustGet(t, "app", "1")
				assert.EqualValues(t, 1, recordOf(t, store)["format"])
				assert.Equal(t, o.digest().String(), recordOf(t, store)["digest"])
			})
		})
	}
}

func TestNewerListIsNotReplacedWhileInUse(t *testing.T) {
	inBubble(t, func(t *testing.T, o *origin) {
		store := new(memory.Store)
		const key, newer = "public/lists/tags/docker.io/library/app/_/all", `{"format":2,"tags":"1 2 3"}`
		_, err := store.Put(t.Context(), key, strings.NewReader(newer), int64(len(newer)), backend.PutOptions{})
		require.NoError(t, err)
		r := bubbled(t, store, o, mirror.Config{})
		for range 2 {
			list, err := r.Tags(t.Context(), repository(t, "app"), mirror.ListQuery{})
			require.NoError(t, err)
			assert.JSONEq(t, `{"name":"library/app","tags":["1"]}`, string(text(t, list.Body)))
			body, _, err := store.Get(t.Context(), key, backend.Range{})
			require.NoError(t, err)
			data := make([]byte, len(newer))
			_, err = body.Read(data)
			require.NoError(t, err)
			assert.JSONEq(t, newer, string(data))
			time.Sleep(2 * time.Minute)
		}
	})
}
