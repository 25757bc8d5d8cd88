package upstreamtest

import (
	"fmt"
	"strconv"
	"strings"
)

// parseRange reads "bytes=first-last" and "bytes=first-", for which last is -1. Other forms are not ok: faults ignore them,
// and http.ServeContent handles them.
func parseRange(header string) (first, last int64, ok bool) {
	spec, isBytes := strings.CutPrefix(header, "bytes=")
	from, to, isRange := strings.Cut(spec, "-")
	first, err := strconv.ParseInt(from, 10, 64)
	if !isBytes || !isRange || err != nil {
		return 0, 0, false
	}
	if to == "" {
		return first, -1, true
	}
	last, err = strconv.ParseInt(to, 10, 64)
	return first, last, err == nil
}

// shiftRange moves a range by some bytes.
func shiftRange(header string, by int64) string {
	first, last, ok := parseRange(header)
	switch {
	case !ok:
		return header
	case last < 0:
		return fmt.Sprintf("bytes=%d-", max(0, first+by))
	default:
		return fmt.Sprintf("bytes=%d-%d", max(0, first+by), max(0, last+by))
	}
}
