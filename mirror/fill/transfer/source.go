package transfer

import (
	"context"

	"github.com/entrepot-io/entrepot/upstream"
)

// Source is where a blob's bytes come from: upstream.Blob, except in tests without a network. A source that is a
// slog.LogValuer is named in the log.
type Source interface {
	// Repository names whose blob it is. All sources with the same name give the same responses.
	Repository() string
	// Open requests the bytes from offset to before end, or to the blob's end if end is 0. A source that ignores ranges
	// gives all bytes, and says so by Part.Ranged.
	Open(ctx context.Context, offset, end int64) (*upstream.Part, error)
	// Size requests only the blob's size.
	Size(ctx context.Context) (int64, error)
	// Link names the upstream, and returns its number of download slots.
	Link() (name string, slots int)
}

// expecting is an optional ability of a source: to predict the blob's size in bytes, 0 if it cannot, or may not give
// ranges. It saves a round trip, since every connection sends its first request along with the very first.
type expecting interface {
	Expect() int64
}

// telling is an optional ability of a source: to know the blob's size in bytes from a manifest, 0 if it does not.
type telling interface {
	Told() int64
}

// Told returns the size in bytes that a source knows from a manifest, 0 if it knows none.
func Told(source Source) int64 {
	if source, ok := source.(telling); ok {
		return source.Told()
	}
	return 0
}
