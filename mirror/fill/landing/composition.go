package landing

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/mirror/fill/growing"
	"github.com/entrepot-io/entrepot/mirror/layout"
)

const (
	// composedOf is the metadata in which a blob lists the segments that it was composed of. A replica that followed one
	// attempt sees there whether the blob is of that attempt, or of another with perhaps other bytes.
	composedOf = "segments"
	// maxComposition limits it in bytes: S3 takes 2 KB of metadata.
	maxComposition = 1500
)

// composition lists the epochs of segments in their order, as runs: "12*A,1*B" is twelve of A and one of B. It is empty if
// that would be too long; then followers that have readers give up.
func composition(parts []backend.Object) string {
	var list []byte
	for n := 0; n < len(parts); {
		first, epoch := n, epochOf(parts[n])
		for n < len(parts) && epochOf(parts[n]) == epoch {
			n++
		}
		list = fmt.Appendf(list, "%d*%s,", n-first, epoch)
	}
	if len(list) > maxComposition {
		return ""
	}
	return strings.TrimSuffix(string(list), ",")
}

// composedEpochs is the inverse of composition. It returns nil for what it cannot parse.
func composedEpochs(list string) []string {
	var epochs []string
	for run := range strings.SplitSeq(list, ",") {
		number, epoch, _ := strings.Cut(run, "*")
		count, err := strconv.Atoi(number)
		if err != nil || count < 1 || len(epochs)+count > growing.MaxSegments {
			return nil
		}
		for range count {
			epochs = append(epochs, epoch)
		}
	}
	return epochs
}

// epochOf returns the epoch of a segment, from its key.
func epochOf(segment backend.Object) string {
	_, epoch, _ := layout.ParseSegment(segment.Key[strings.LastIndex(segment.Key, "/")+1:])
	return epoch
}

// ComposedOf returns a function that reports whether segment n of a stored blob is that object.
func ComposedOf(blob backend.Object) func(n int, segment backend.Object) bool {
	epochs := composedEpochs(blob.Metadata[composedOf])
	return func(n int, segment backend.Object) bool { return n < len(epochs) && epochs[n] == epochOf(segment) }
}
