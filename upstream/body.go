package upstream

import (
	"context"
	"net/http"

	"github.com/entrepot-io/entrepot/bounded"
)

// readBody reads a whole response body within the memory for such bodies. Errors: bounded.ErrTooLarge, bounded.ErrFull, and
// those of the body.
func readBody(ctx context.Context, memory *bounded.Share, resp *http.Response, most int64) ([]byte, error) {
	size := resp.ContentLength
	if size <= bounded.Small {
		size = -1 // small bodies need no memory from the budget
	}
	if isEncoded(resp) {
		ctx = bounded.Holding(ctx) // the decoder may hold some of the memory
	}
	return memory.Read(ctx, resp.Body, size, most)
}
