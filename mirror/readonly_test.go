package mirror_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/backend/backendtest/memory"
	"github.com/entrepot-io/entrepot/mirror"
)

// refusals are ways to refuse writes.
var writeFailures = map[string]func(ctx context.Context, key string) error{
	"full":      func(context.Context, string) error { return backend.ErrFull },
	"read-only": func(context.Context, string) error { return backend.ErrReadOnly },
	"denied":    func(context.Context, string) error { return backend.ErrDenied },
	"failing":   func(context.Context, string) error { return errReset },
	"hanging": func(ctx context.Context, _ string) error {
		<-ctx.Done()
		return ctx.Err()
	},
}

// inReadOnlyStores runs a test with stores that refuse writes in each way, before or after a replica has used them.
func inReadOnlyStores(t *testing.T, test func(t *testing.T, o *origin, store *readOnly, r func() replica)) {
	for name, fail := range writeFailures {
		for _, fresh := range []bool{false, true} {
			suffix := ", found when the process runs"
			if fresh {
				suffix = ", found when the process starts"
			}
			t.Run(name+suffix, func(t *testing.T) {
				inBubble(t, func(t *testing.T, o *origin) {
					store := &readOnly{Store: new(memory.Store)}
					first := bubbled(t, store, o, mirror.Config{})
					first.mustGet(t, "app", "1")
					time.Sleep(2 * time.Minute)
					store.set(fail)
					test(t, o, store, func() replica {
						if fresh {
							return bubbled(t, store, o, mirror.Config{})
						}
						return first
					})
				})
			})
		}
	}
}

// soon requests a tag, and checks that the response starts in time.
func soon(t *testing.T, r replica, tag string) mirror.Answer {
	t.Helper()
	began := time.Now()
	answer := r.mustGet(t, "app", tag)
	assert.LessOrEqual(t, time.Since(began), 20*time.Second)
	return answer
}

func TestTagIsRevalidatedWithoutWrites(t *testing.T) {
	inReadOnlyStores(t, func(t *testing.T, o *origin, store *readOnly, start func() replica) {
		r, moved := start(), o.move()
		soon(t, r, "1") // a store that hangs may take longer than the upstream's budget
		time.Sleep(20 * time.Second)
		answer := soon(t, r, "1")
		assert.NoError(t, answer.Stale)
		assert.Equal(t, moved, answer.Digest)
		_, stored := answer.StoredAt()
		assert.False(t, stored)
		assert.Equal(t, 1, o.count(http.MethodHead), "the record is kept in memory")

		for range 5 {
			time.Sleep(2 * time.Minute)
			assert.Equal(t, moved, soon(t, r, "1").Digest)
		}
		o.set(func(o *origin) { o.status = http.StatusServiceUnavailable })
		time.Sleep(2 * time.Minute)
		answer = soon(t, r, "1")
		assert.Equal(t, moved, answer.Digest)
		assert.Error(t, answer.Stale)
	})
}

func TestNewManifestPassesThroughUnstored(t *testing.T) {
	inReadOnlyStores(t, func(t *testing.T, o *origin, store *readOnly, start func() replica) {
		r, d := start(), o.move()
		for _, ref := range []string{"2", d.String(), "2"} {
			answer := soon(t, r, ref)
			assert.Equal(t, d, answer.Digest)
			_, stored := answer.StoredAt()
			assert.False(t, stored, "no client can be redirected to it")
		}
		assert.Equal(t, 2, o.count(http.MethodGet), "the manifest is kept in memory")

		store.set(nil)
		time.Sleep(2 * time.Minute)
		_, stored := soon(t, r, d.String()).StoredAt()
		assert.True(t, stored)
		soon(t, r, "2")
		assert.Contains(t, keys(t, store, "public/tags/"), "public/tags/docker.io/library/app/_/2")
	})
}

func TestRefreshReportsUnstoredRecord(t *testing.T) {
	inReadOnlyStores(t, func(t *testing.T, o *origin, store *readOnly, start func() replica) {
		r := start()
		if answer := r.revalidate(t, "app", "1"); answer.Stale == nil { // a store that hangs is slower than the budget
			assert.Error(t, answer.Unstored)
		}
		store.set(nil)
		time.Sleep(2 * time.Minute)
		assert.NoError(t, r.revalidate(t, "app", "1").Unstored)
	})
}

func TestUnwritableStoreIsTriedSeldom(t *testing.T) {
	inReadOnlyStores(t, func(t *testing.T, o *origin, store *readOnly, start func() replica) {
		r := start()
		o.move()
		const requests = 100
		for i := range requests {
			soon(t, r, fmt.Sprint("new-", i))
			time.Sleep(time.Second)
		}
		for _, kind := range []string{"fills", "manifests", "tags"} {
			assert.Less(t, store.tried(kind), requests/3, kind)
		}
	})
}

// A record promises that its manifest is in the bucket.
func TestUnstoredManifestGetsNoRecord(t *testing.T) {
	inBubble(t, func(t *testing.T, o *origin) {
		store := &readOnly{Store: new(memory.Store)}
		r := bubbled(t, store, o, mirror.Config{})
		r.mustGet(t, "app", "1")
		recorded := recordOf(t, store)
		moved := o.move()
		store.set(func(_ context.Context, key string) error {
			if key == "public/manifests/sha256/"+moved.Encoded() {
				return backend.ErrFull // small records still fit
			}
			return nil
		})
		time.Sleep(2 * time.Minute)
		for _, tag := range []string{"1", "2"} {
			answer := r.mustGet(t, "app", tag)
			assert.Equal(t, moved, answer.Digest)
			_, stored := answer.StoredAt()
			assert.False(t, stored)
		}
		assert.Equal(t, recorded, recordOf(t, store))
		assert.Equal(t, []string{tagKey}, keys(t, store, "public/tags/"))

		store.set(nil)
		time.Sleep(2 * time.Minute)
		r.mustGet(t, "app", "1")
		assert.Equal(t, moved.String(), recordOf(t, store)["digest"])
	})
}

// A load balancer then tries another replica.
func TestUnreadableStoreFailsRequests(t *testing.T) {
	inBubble(t, func(t *testing.T, o *origin) {
		store := &unreadable{Store: new(memory.Store)}
		r := bubbled(t, store, o, mirror.Config{})
		_, err := r.get(t, "app", "1")
		require.ErrorIs(t, err, errUnreadable)
		failed := new(mirror.UpstreamError)
		assert.NotErrorAs(t, err, &failed)
	})
}

var errUnreadable = errors.New("connection refused")

type unreadable struct{ backend.Store }

func (unreadable) Get(context.Context, string, backend.Range) (io.ReadCloser, backend.Object, error) {
	return nil, backend.Object{}, errUnreadable
}

// A process that cannot write can still see the lease of another.
func TestReplicaWithoutWritesWaitsForAnother(t *testing.T) {
	inBubble(t, func(t *testing.T, o *origin) {
		shared := new(memory.Store)
		store := &readOnly{Store: shared}
		store.set(writeFailures["denied"])
		o.set(func(o *origin) { o.delay = 5 * time.Second })
		able, unable := bubbled(t, shared, o, mirror.Config{}), bubbled(t, store, o, mirror.Config{})
		together(t, time.Second, able, unable)
		assert.Equal(t, 1, o.count(http.MethodGet))
	})
}
