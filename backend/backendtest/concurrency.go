package backendtest

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/entrepot-io/entrepot/backend"
)

var concurrencyPromises = []promise{
	{name: "concurrent readers see whole objects", check: func(t *testing.T, s backend.Store) {
		seed := Seed(t)
		// versitygw 1.8.0 fails a Put (409, "Existing Object is a directory") while a Delete empties its folder.
		put(t, s, "dir/neighbour", wholeObject(seed, 1), backend.PutOptions{})
		calls, ctx := errgroup.WithContext(t.Context())
		for worker := range 8 {
			r := rand.New(rand.NewPCG(seed, uint64(worker)))
			calls.Go(func() error {
				for range 40 {
					key := fmt.Sprintf("dir/%d", r.IntN(3))
					if err := act(ctx, s, key, r); err != nil {
						return fmt.Errorf("%s: %w", key, err)
					}
				}
				return nil
			})
		}
		require.NoError(t, calls.Wait())
		for _, key := range keys(t, s, "", "") {
			require.NoError(t, readWhole(t.Context(), s, key))
		}
	}},
}

// act puts, gets or deletes an object whose content proves that it is whole.
func act(ctx context.Context, s backend.Store, key string, r *rand.Rand) error {
	switch r.IntN(8) {
	case 0:
		return s.Delete(ctx, key)
	case 1, 2, 3:
		data := wholeObject(r.Uint64(), r.IntN(200_000))
		_, err := s.Put(ctx, key, bytes.NewReader(data), int64(len(data)), backend.PutOptions{})
		return err
	default:
		return readWhole(ctx, s, key)
	}
}

// wholeObject returns 8 bytes that determine the n bytes after them.
func wholeObject(seed uint64, n int) []byte {
	head := binary.BigEndian.AppendUint64(nil, seed)
	return append(head, content(string(head), n)...)
}

func readWhole(ctx context.Context, s backend.Store, key string) error {
	body, o, err := s.Get(ctx, key, backend.Range{})
	if errors.Is(err, backend.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	defer body.Close()
	data, err := io.ReadAll(body)
	if err != nil {
		return err
	}
	if int64(len(data)) != o.Size || len(data) < 8 || !bytes.Equal(data, wholeObject(binary.BigEndian.Uint64(data), len(data)-8)) {
		return fmt.Errorf("%d of %d bytes are not an object", len(data), o.Size)
	}
	return nil
}
