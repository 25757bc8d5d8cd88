package handlers

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// byteRange is a part of a body: length bytes from offset on.
type byteRange struct{ offset, length int64 }

// errRange means that the range begins past the end of the body, or past its own end.
var errRange = errors.New("range not satisfiable")

// parseRange reads a Range header for a body of size bytes, RFC 9110 section 14.2. It returns false if the whole body is to
// be sent: there is no header, it is malformed or has another unit, or it has several ranges, which a server may ignore.
// Error: errRange.
func parseRange(header string, size int64) (r byteRange, partial bool, err error) {
	spec, ok := strings.CutPrefix(header, "bytes=")
	if !ok || strings.Contains(spec, ",") {
		return byteRange{}, false, nil
	}
	first, last, ok := strings.Cut(strings.TrimSpace(spec), "-")
	if !ok {
		return byteRange{}, false, nil
	}
	if first == "" { // the last n bytes
		n, err := parsePosition(last)
		if err != nil {
			return byteRange{}, false, nil
		}
		if n == 0 || size == 0 {
			return byteRange{}, false, errRange
		}
		n = min(n, size)
		return byteRange{size - n, n}, true, nil
	}
	from, err := parsePosition(first)
	if err != nil {
		return byteRange{}, false, nil
	}
	to := size - 1
	if last != "" {
		n, err := parsePosition(last)
		if err != nil {
			return byteRange{}, false, nil
		}
		if n < from {
			return byteRange{}, false, errRange
		}
		to = min(n, to)
	}
	if from >= size {
		return byteRange{}, false, errRange
	}
	return byteRange{from, to - from + 1}, true, nil
}

// parsePosition reads only digits: strconv would accept a sign.
func parsePosition(s string) (int64, error) {
	n, err := strconv.ParseUint(s, 10, 63)
	return int64(n), err
}

func (r byteRange) contentRange(size int64) string {
	return fmt.Sprintf("bytes %d-%d/%d", r.offset, r.offset+r.length-1, size)
}
