package inventory_test

import (
	"context"
	"encoding/hex"
	"iter"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/backend/backendtest/memory"
	"github.com/entrepot-io/entrepot/mirror/layout"
)

// huge is a store that lists many blobs which it does not hold.
type huge struct {
	*memory.Store
	blobs int
}

func (h *huge) List(_ context.Context, prefix, _ string) iter.Seq2[backend.Object, error] {
	return func(yield func(backend.Object, error) bool) {
		if prefix != "" {
			return
		}
		for i := range h.blobs {
			sum := make([]byte, 32)
			sum[0], sum[1], sum[2], sum[3] = byte(i>>24), byte(i>>16), byte(i>>8), byte(i)
			d := digest.NewDigestFromEncoded(digest.SHA256, hex.EncodeToString(sum))
			if !yield(backend.Object{Key: layout.Public.Blob(d), Size: 1000}, nil) {
				return
			}
		}
	}
}
