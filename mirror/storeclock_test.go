package mirror_test

import (
	"encoding/json"
	"io"
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

const tagKey = "public/tags/docker.io/library/app/_/1"

// off returns a clock that is wrong by a duration.
func off(by time.Duration) func() time.Time {
	return func() time.Time { return time.Now().Add(by) }
}

// rewrite changes the JSON of a record in the bucket, as a new object.
func rewrite(t *testing.T, store backend.Store, change func(fields map[string]any)) {
	t.Helper()
	fields := recordOf(t, store)
	change(fields)
	data, err := json.Marshal(fields)
	require.NoError(t, err)
	_, err = store.Put(t.Context(), tagKey, strings.NewReader(string(data)), int64(len(data)), backend.PutOptions{})
	require.NoError(t, err)
}

func recordOf(t *testing.T, store backend.Store) (fields map[string]any) {
	t.Helper()
	body, _, err := store.Get(t.Context(), tagKey, backend.Range{})
	require.NoError(t, err)
	data, err := io.ReadAll(body)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(data, &fields))
	return fields
}

func TestReplicasClocksDoNotDecideFreshness(t *testing.T) {
	for name, by := range map[string]time.Duration{"ahead": 24 * time.Hour, "behind": -24 * time.Hour, "a little behind": -5 * time.Second} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, o *origin) {
				store := new(memory.Store)
				wrong, right := bubbled(t, store, o, mirror.Config{Now: off(by)}), bubbled(t, store, o, mirror.Config{})
				first := o.digest()
				wrong.mustGet(t, "app", "1")
				moved := o.move()
				time.Sleep(50 * time.Second)
				assert.Equal(t, first, wrong.mustGet(t, "app", "1").Digest, "within the TTL")
				assert.Equal(t, first, right.mustGet(t, "app", "1").Digest, "within the TTL")
				assert.Zero(t, o.count(http.MethodHead))
				time.Sleep(15 * time.Second)
				assert.Equal(t, moved, right.mustGet(t, "app", "1").Digest)
				assert.Equal(t, moved, wrong.mustGet(t, "app", "1").Digest)
				assert.Equal(t, 1, o.count(http.MethodHead))
			})
		})
	}
}

func TestRefreshWorksWithWrongClock(t *testing.T) {
	for name, by := range map[string]time.Duration{"ahead": time.Hour, "behind": -5 * time.Second} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, o *origin) {
				store := new(memory.Store)
				long := mirror.Config{TagTTL: time.Hour}
				serving := bubbled(t, store, o, long)
				long.Now = off(by)
				refreshing := bubbled(t, store, o, long)
				serving.mustGet(t, "app", "1")
				moved := o.move()
				time.Sleep(2 * time.Second)
				assert.Equal(t, moved, refreshing.revalidate(t, "app", "1").Digest)
				time.Sleep(40 * time.Second)
				assert.NotEqual(t, moved, serving.mustGet(t, "app", "1").Digest, "records in memory are used for a minute")
				time.Sleep(31 * time.Second)
				assert.Equal(t, moved, serving.mustGet(t, "app", "1").Digest)
				assert.Equal(t, 1, o.count(http.MethodHead))
			})
		})
	}
}

func TestRecordFromTheFutureIsStale(t *testing.T) {
	for name, c := range map[string]struct {
		change func(fields map[string]any)
		clock  time.Duration // of the store, afterwards
	}{
		"by its content":        {change: func(fields map[string]any) { fields["checked"] = time.Now().Add(24 * time.Hour) }},
		"by its object's time":  {change: func(map[string]any) {}, clock: -24 * time.Hour},
		"by an age that is not": {change: func(fields map[string]any) { fields["ageMillis"] = -time.Hour.Milliseconds() }},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, o *origin) {
				store := new(memory.Store)
				bubbled(t, store, o, mirror.Config{}).mustGet(t, "app", "1")
				rewrite(t, store, c.change)
				moved := o.move()
				store.Now = off(c.clock)
				assert.Equal(t, moved, bubbled(t, store, o, mirror.Config{}).mustGet(t, "app", "1").Digest)

				store.Now = nil
				rewrite(t, store, c.change)
				store.Now = off(c.clock)
				o.set(func(o *origin) { o.status = http.StatusServiceUnavailable })
				answer := bubbled(t, store, o, mirror.Config{StaleMax: time.Hour}).mustGet(t, "app", "1")
				assert.Equal(t, moved, answer.Digest)
				assert.Error(t, answer.Stale, "the record is stale, but served while the upstream fails")
			})
		})
	}
}

func TestRecordsOfEarlierReleasesAreRead(t *testing.T) {
	inBubble(t, func(t *testing.T, o *origin) {
		store := new(memory.Store)
		first := o.digest()
		bubbled(t, store, o, mirror.Config{}).mustGet(t, "app", "1")
		old := func(age time.Duration) {
			rewrite(t, store, func(fields map[string]any) {
				delete(fields, "ageMillis")
				delete(fields, "nonce")
				fields["checked"] = time.Now().Add(-age).Format(time.RFC3339Nano)
			})
		}
		moved := o.move()
		old(30 * time.Second)
		assert.Equal(t, first, bubbled(t, store, o, mirror.Config{}).mustGet(t, "app", "1").Digest)
		old(61 * time.Second)
		assert.Equal(t, moved, bubbled(t, store, o, mirror.Config{}).mustGet(t, "app", "1").Digest)
	})
}

func TestAgeIncludesUpstreamsResponseTime(t *testing.T) {
	inBubble(t, func(t *testing.T, o *origin) {
		store := new(memory.Store)
		o.set(func(o *origin) { o.delay = 10 * time.Second })
		bubbled(t, store, o, mirror.Config{}).mustGet(t, "app", "1")
		o.set(func(o *origin) { o.delay = 0 })
		time.Sleep(52 * time.Second) // 62 s after the upstream got the request
		bubbled(t, store, o, mirror.Config{}).mustGet(t, "app", "1")
		assert.Equal(t, 1, o.count(http.MethodHead))
	})
}

func TestStaleMaxAndKeepDeletedAreByTheStoresClock(t *testing.T) {
	for name, status := range map[string]int{"fails": http.StatusServiceUnavailable, "has deleted it": http.StatusNotFound} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, o *origin) {
				store := new(memory.Store)
				limits := mirror.Config{StaleMax: time.Hour, KeepDeleted: time.Hour}
				bubbled(t, store, o, limits).mustGet(t, "app", "1")
				o.set(func(o *origin) { o.status = status })
				time.Sleep(2 * time.Minute)
				for range 2 {
					for _, by := range []time.Duration{-48 * time.Hour, 48 * time.Hour} {
						limits.Now = off(by)
						assert.Error(t, bubbled(t, store, o, limits).mustGet(t, "app", "1").Stale)
					}
					time.Sleep(50 * time.Minute)
				}
				time.Sleep(30 * time.Minute)
				for _, by := range []time.Duration{-48 * time.Hour, 48 * time.Hour} {
					limits.Now = off(by)
					_, err := bubbled(t, store, o, limits).get(t, "app", "1")
					assert.Error(t, err)
				}
			})
		})
	}
}

// overtaken sends requests to two replicas. The second overtakes the first while the upstream delays the first response,
// whose status is late.
func overtaken(t *testing.T, store *memory.Store, o *origin, late int) (first, second replica) {
	t.Helper()
	first, second = bubbled(t, store, o, mirror.Config{}), bubbled(t, store, o, mirror.Config{})
	first.mustGet(t, "app", "1")
	time.Sleep(2 * time.Minute)
	o.set(func(o *origin) { o.delay, o.status = 4*time.Second, late })
	assert.Error(t, first.mustGet(t, "app", "1").Stale, "the upstream is late")
	for _, key := range keys(t, store, "public/fills/") { // as if the first replica had been suspended
		require.NoError(t, store.Delete(t.Context(), key))
	}
	o.set(func(o *origin) { o.delay, o.status = 0, 0 })
	return first, second
}

func TestLateAnswerKeepsNewerRecord(t *testing.T) {
	for name, status := range map[string]int{"an old digest": 0, "deleted": http.StatusNotFound} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, o *origin) {
				store := new(memory.Store)
				first, second := overtaken(t, store, o, status)
				moved := o.move()
				assert.Equal(t, moved, second.mustGet(t, "app", "1").Digest)
				recorded := recordOf(t, store)
				time.Sleep(10 * time.Second) // until the first replica has its response
				assert.Equal(t, recorded, recordOf(t, store))
				answer := first.mustGet(t, "app", "1")
				assert.Equal(t, moved, answer.Digest, "the older answer does not replace the newer one in memory either")
				assert.NoError(t, answer.Stale)
			})
		})
	}
}

func TestLateAnswerKeepsDeletion(t *testing.T) {
	inBubble(t, func(t *testing.T, o *origin) {
		store := new(memory.Store)
		_, second := overtaken(t, store, o, 0)
		o.set(func(o *origin) { o.status = http.StatusNotFound })
		assert.Error(t, second.mustGet(t, "app", "1").Stale)
		time.Sleep(10 * time.Second)
		assert.Contains(t, recordOf(t, store), "gone")
	})
}
