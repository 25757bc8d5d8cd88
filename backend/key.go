package backend

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxKey is the maximum length of a key in bytes. S3 allows 1024; the rest is left for a prefix in a shared bucket.
const maxKey = 900

// CheckKey returns ErrKey with the reason if key is not valid for a Store.
func CheckKey(key string) error {
	switch {
	case len(key) == 0:
		return fmt.Errorf("%w: empty", ErrKey)
	case len(key) > maxKey:
		return fmt.Errorf("%w: %d bytes exceed the limit of %d", ErrKey, len(key), maxKey)
	case !utf8.ValidString(key):
		return fmt.Errorf("%w: %q is not valid UTF-8", ErrKey, key)
	case strings.ContainsFunc(key, func(r rune) bool { return r == '\\' || unicode.IsControl(r) }):
		return fmt.Errorf("%w: %q contains a backslash or a control character", ErrKey, key)
	}
	for segment := range strings.SplitSeq(key, "/") {
		switch strings.TrimSpace(segment) { // as MinIO does
		case "", ".", "..":
			return fmt.Errorf("%w: %q contains the segment %q", ErrKey, key, segment)
		}
	}
	return nil
}

// CanPrefix reports whether List accepts prefix.
func CanPrefix(prefix string) bool {
	return prefix == "" || CheckKey(strings.TrimSuffix(prefix, "/")) == nil
}
