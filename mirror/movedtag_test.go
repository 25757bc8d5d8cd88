package mirror_test

import (
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/backend/backendtest/memory"
	"github.com/entrepot-io/entrepot/mirror"
)

// counted is a store that counts calls by method and kind of object.
type counted struct {
	backend.Store
	mu    sync.Mutex
	calls map[string]int
}

func (s *counted) count(method, key string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	call := method + " " + strings.Split(key, "/")[1]
	if errors.Is(err, backend.ErrNotFound) {
		call += " 404"
	}
	s.calls[call]++
}

// during returns the calls during do.
func (s *counted) during(do func()) map[string]int {
	s.mu.Lock()
	s.calls = map[string]int{}
	s.mu.Unlock()
	do()
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.calls)
}

func (s *counted) Get(ctx context.Context, key string, r backend.Range) (io.ReadCloser, backend.Object, error) {
	body, o, err := s.Store.Get(ctx, key, r)
	s.count("GET", key, err)
	return body, o, err
}

func (s *counted) Put(ctx context.Context, key string, body io.Reader, size int64, opts backend.PutOptions) (backend.Object, error) {
	o, err := s.Store.Put(ctx, key, body, size, opts)
	s.count("PUT", key, err)
	return o, err
}

func (s *counted) Delete(ctx context.Context, key string) error {
	err := s.Store.Delete(ctx, key)
	s.count("DELETE", key, err)
	return err
}

const typedIndex = `{"mediaType":"` + indexType + `","manifests":[]}`

func TestMovedTagLooksItsManifestUpOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, o *origin) {
		store := &counted{Store: new(memory.Store), calls: map[string]int{}}
		o.set(func(o *origin) { o.body = typedIndex })
		r := bubbled(t, store, o, mirror.Config{})
		r.mustGet(t, "app", "1")
		time.Sleep(2 * time.Minute)
		moved := o.move()
		calls := store.during(func() { assert.Equal(t, moved, r.mustGet(t, "app", "1").Digest) })
		assert.Equal(t, map[string]int{
			"GET tags": 2, "GET manifests 404": 1, "PUT tags": 1, "PUT manifests": 1,
			"PUT fills": 2, "DELETE fills": 2, // the leases of the tag and of the manifest
		}, calls)
		assert.Equal(t, 1, o.count(http.MethodHead))
		assert.Equal(t, 2, o.count(http.MethodGet))
	})
}

func TestTagMovedToStoredManifestIsNotFetched(t *testing.T) {
	inBubble(t, func(t *testing.T, o *origin) {
		store := &counted{Store: new(memory.Store), calls: map[string]int{}}
		o.set(func(o *origin) { o.body = typedIndex })
		r, other := bubbled(t, store, o, mirror.Config{}), bubbled(t, store, o, mirror.Config{})
		r.mustGet(t, "app", "1")
		time.Sleep(2 * time.Minute)
		moved := o.move()
		other.mustGet(t, "app", "2")
		calls := store.during(func() { assert.Equal(t, moved, r.mustGet(t, "app", "1").Digest) })
		assert.Equal(t, map[string]int{
			"GET tags": 2, "GET manifests": 1, "PUT tags": 1, "PUT fills": 2, "DELETE fills": 2,
		}, calls)
		assert.Equal(t, 2, o.count(http.MethodGet), "one GET for each tag")
	})
}
