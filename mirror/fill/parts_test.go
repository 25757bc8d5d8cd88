package fill_test

import (
	"bytes"
	"context"
	_ "crypto/sha512" // for the test's digest
	"io"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/backend/backendtest/memory"
	"github.com/entrepot-io/entrepot/mirror/fill"
	"github.com/entrepot-io/entrepot/mirror/layout"
)

// swapping is a store that cannot compose, and that replaces a stored segment before the blob is assembled.
type swapping struct {
	backend.Store
	swapped []string
}

func (s *swapping) Put(ctx context.Context, key string, body io.Reader, size int64, o backend.PutOptions) (backend.Object, error) {
	if strings.Contains(key, "/blobs/") {
		for object, err := range s.List(ctx, "public/fills/", "") {
			if err != nil {
				return backend.Object{}, err
			}
			if strings.HasSuffix(object.Key, "/lease") || len(s.swapped) > 0 {
				continue
			}
			s.swapped = append(s.swapped, object.Key)
			other := bytes.Repeat([]byte("x"), int(object.Size))
			if _, err := s.Store.Put(ctx, object.Key, bytes.NewReader(other), object.Size, backend.PutOptions{}); err != nil {
				return backend.Object{}, err
			}
		}
	}
	return s.Store.Put(ctx, key, body, size, o)
}

// The store does not verify SHA-512. Only the ETags keep a replaced segment out of the blob.
func TestReplacedSegmentStaysOutOfTheBlob(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &swapping{Store: struct{ backend.Store }{&memory.Store{}}}
		fills := fill.New(fill.Config{
			Store: store, Realm: layout.Public, SegmentSize: segmentSize, Memory: 10 * segmentSize,
			Abilities: abilities(store, true), Log: slog.New(slog.DiscardHandler), Metrics: fill.NewMetrics(nil),
		})
		defer fills.Close()
		blob := (&crowded{name: "one", downloads: 4, ranges: rangesGiven, segment: time.Second}).blob(1, 0, 3*segmentSize)
		d := digest.SHA512.FromBytes(blob.content)
		f, err := fills.Join(t.Context(), d, blob)
		require.NoError(t, err)
		require.ErrorIs(t, f.Wait(t.Context()), backend.ErrPrecondition)
		assert.Len(t, store.swapped, 1)
		_, err = store.Stat(t.Context(), layout.Public.Blob(d))
		assert.ErrorIs(t, err, backend.ErrNotFound)
	})
}
