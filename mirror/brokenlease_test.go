package mirror_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/backend/backendtest/memory"
	"github.com/entrepot-io/entrepot/mirror"
)

// contrary is a store that starts to refuse conditions although they are met.
type contrary struct {
	backend.Store
	mu      sync.Mutex
	refuses func(backend.Condition) bool // nil: none
	refused int
}

func (s *contrary) set(refuses func(backend.Condition) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refuses, s.refused = refuses, 0
}

func (s *contrary) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.refused
}

func (s *contrary) Put(ctx context.Context, key string, body io.Reader, size int64, o backend.PutOptions) (backend.Object, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refuses != nil && s.refuses(o.Condition) {
		s.refused++
		return backend.Object{}, backend.ErrPrecondition
	}
	return s.Store.Put(ctx, key, body, size, o)
}

func TestStoreThatRefusesRightConditionsKeepsRecords(t *testing.T) {
	inBubble(t, func(t *testing.T, o *origin) {
		store := &contrary{Store: new(memory.Store)}
		r := bubbled(t, store, o, mirror.Config{})
		r.mustGet(t, "app", "1")
		store.set(func(c backend.Condition) bool { return c.IfMatch != "" })
		moved := o.move()
		time.Sleep(2 * time.Minute)
		assert.Equal(t, moved, r.mustGet(t, "app", "1").Digest)
		assert.Equal(t, moved.String(), recordOf(t, store)["digest"])
	})
}

// A store may honor conditions when it is probed, and later refuse one that is met.
func TestMirrorWorksWithBrokenLeases(t *testing.T) {
	const leaseKey = "public/fills/tags/docker.io/library/app/_/2"
	dead := func(t *testing.T, store backend.Store) {
		_, err := store.Put(t.Context(), leaseKey, strings.NewReader(`{"epoch":"dead"}`), 16, backend.PutOptions{})
		require.NoError(t, err)
	}
	for name, c := range map[string]struct {
		refuses func(backend.Condition) bool
		before  func(t *testing.T, store backend.Store)
		work    time.Duration // at the upstream
		left    int           // leases that stay until they are swept
	}{
		"noticed when acquiring a lease": {
			refuses: func(c backend.Condition) bool { return c.IfAbsent },
		},
		"noticed when taking over a dead replica's lease": {
			refuses: func(c backend.Condition) bool { return c.IfMatch != "" },
			before:  dead,
			left:    1,
		},
		"noticed when renewing a lease": {
			refuses: func(c backend.Condition) bool { return c.IfMatch != "" },
			work:    11 * time.Second,
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, o *origin) {
				store := &contrary{Store: new(memory.Store)}
				r := bubbled(t, store, o, mirror.Config{})
				r.mustGet(t, "app", "1")
				require.Empty(t, r.MissingAbilities())
				if c.before != nil {
					c.before(t, store)
				}
				store.set(c.refuses)
				o.set(func(o *origin) { o.delay = c.work })
				moved := o.move()
				var answered sync.WaitGroup
				answered.Go(func() {
					assert.Equal(t, moved, r.mustGet(t, "app", "2").Digest)
				})
				if c.work > 0 {
					time.Sleep(c.work - time.Second)
					assert.Len(t, r.MissingAbilities(), 1, "the renewal has noticed")
				}
				answered.Wait()
				require.Len(t, r.MissingAbilities(), 1)
				assert.Equal(t, "conditional_writes", r.MissingAbilities()[0].Ability)
				assert.Equal(t, 2, o.count(http.MethodGet))
				assert.Contains(t, keys(t, store, "public/tags/"), "public/tags/docker.io/library/app/_/2")
				assert.Len(t, keys(t, store, "public/fills/"), c.left)

				refused := store.count()
				r.mustGet(t, "app", "3")
				assert.Equal(t, refused, store.count(), "no further condition is tried")
			})
		})
	}
}
