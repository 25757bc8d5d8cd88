package mirror_test

import (
	"context"
	"fmt"
	"io"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/backend/backendtest/memory"
	"github.com/entrepot-io/entrepot/mirror"
)

// silent is a store that does not respond while mute.
type silent struct {
	backend.Store
	mute atomic.Bool
}

func (s *silent) wait(ctx context.Context) error {
	if s.mute.Load() {
		<-ctx.Done()
	}
	return ctx.Err()
}

func (s *silent) Stat(ctx context.Context, key string) (backend.Object, error) {
	if err := s.wait(ctx); err != nil {
		return backend.Object{}, err
	}
	return s.Store.Stat(ctx, key)
}

func (s *silent) Get(ctx context.Context, key string, r backend.Range) (io.ReadCloser, backend.Object, error) {
	if err := s.wait(ctx); err != nil {
		return nil, backend.Object{}, err
	}
	return s.Store.Get(ctx, key, r)
}

func (s *silent) Put(ctx context.Context, key string, body io.Reader, size int64, o backend.PutOptions) (backend.Object, error) {
	if err := s.wait(ctx); err != nil {
		return backend.Object{}, err
	}
	return s.Store.Put(ctx, key, body, size, o)
}

// A load balancer can try another replica if this one reports in time that it cannot reach the bucket. Clients give up
// after 30 s.
func TestUnresponsiveStoreIsReportedInTime(t *testing.T) {
	for name, ask := range map[string]func(ctx context.Context, t *testing.T, r replica) error{
		"for an unknown tag": func(_ context.Context, t *testing.T, r replica) error {
			_, err := r.get(t, "library/app", "2")
			return err
		},
		"for a manifest": func(_ context.Context, t *testing.T, r replica) error {
			_, err := r.get(t, "library/app", digest.FromString("another").String())
			return err
		},
		"for a blob": func(ctx context.Context, t *testing.T, r replica) error {
			_, err := r.Blob(ctx, repository(t, "library/app"), digest.FromString("blob"))
			return err
		},
		"for a blob's size": func(ctx context.Context, t *testing.T, r replica) error {
			_, err := r.StatBlob(ctx, repository(t, "library/app"), digest.FromString("blob"))
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, o *origin) {
				store := &silent{Store: new(memory.Store)}
				r := bubbled(t, store, o, mirror.Config{})
				r.mustGet(t, "library/app", "1")
				store.mute.Store(true)
				asked := time.Now()
				err := ask(t.Context(), t, r)
				require.ErrorIs(t, err, backend.ErrLate)
				assert.NotErrorIs(t, err, context.DeadlineExceeded, "a deadline would blame the upstream")
				assert.Less(t, time.Since(asked), 14*time.Second)
			})
		})
	}
}

func TestHangingWritesDelayAllClientsOnlyOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, o *origin) {
		r := bubbled(t, &mutePut{Store: new(memory.Store)}, o, mirror.Config{})
		o.bodies = map[string]string{}
		for i := range 10 {
			body := fmt.Sprintf(`{"manifests":[],"annotations":{"n":"%d"}}`, i)
			o.bodies[digest.FromString(body).String()] = body
		}
		asked := time.Now()
		errs := make(chan error)
		for d := range o.bodies {
			go func() {
				_, err := r.get(t, "library/app", d)
				errs <- err
			}()
		}
		for range o.bodies {
			assert.NoError(t, <-errs)
		}
		assert.Less(t, time.Since(asked), 20*time.Second)
	})
}

// mutePut is a store whose writes hang.
type mutePut struct{ backend.Store }

func (mutePut) Put(ctx context.Context, _ string, _ io.Reader, _ int64, _ backend.PutOptions) (backend.Object, error) {
	<-ctx.Done()
	return backend.Object{}, ctx.Err()
}
