package intake_test

import (
	"bytes"
	"context"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/backend/backendtest/memory"
	"github.com/entrepot-io/entrepot/mirror/intake"
)

func TestWrongBytesAreNeverStored(t *testing.T) {
	const text = "the right bytes"
	for name, c := range map[string]struct {
		body string
		size int64
		err  error // nil: stored
	}{
		"right":     {text, int64(len(text)), nil},
		"changed":   {"the wrong bytes", int64(len(text)), intake.ErrDigest},
		"truncated": {text[:5], int64(len(text)), io.ErrUnexpectedEOF},
		"short":     {text, 5, intake.ErrDigest},
		"empty":     {"", 0, intake.ErrDigest},
	} {
		t.Run(name, func(t *testing.T) {
			store := new(memory.Store)
			err := intake.Put(t.Context(), store, intake.Object{
				Key: "key", Digest: digest.FromString(text), Size: c.size,
				Open: func(context.Context) (io.ReadCloser, error) {
					return io.NopCloser(iotest.OneByteReader(strings.NewReader(c.body))), nil
				},
			})
			body, _, got := store.Get(t.Context(), "key", backend.Range{})
			if c.err != nil {
				require.ErrorIs(t, err, c.err)
				require.ErrorIs(t, got, backend.ErrNotFound)
				return
			}
			require.NoError(t, err)
			require.NoError(t, got)
			stored, err := io.ReadAll(body)
			require.NoError(t, err)
			assert.Equal(t, c.body, string(stored))
		})
	}
}

func TestFailingBytesAreReadAgain(t *testing.T) {
	const text = "bytes"
	opened := 0
	err := intake.Put(t.Context(), new(memory.Store), intake.Object{
		Key: "key", Digest: digest.FromString(text), Size: int64(len(text)),
		Open: func(context.Context) (io.ReadCloser, error) {
			if opened++; opened < 3 {
				return io.NopCloser(bytes.NewReader([]byte("by"))), nil
			}
			return io.NopCloser(strings.NewReader(text)), nil
		},
	})
	require.NoError(t, err)
	assert.Equal(t, 3, opened)
}
