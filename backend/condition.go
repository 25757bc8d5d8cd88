package backend

import "strings"

// Empty reports whether e names no version: it is empty or consists of quotes.
func (e ETag) Empty() bool {
	return strings.Trim(strings.TrimPrefix(strings.TrimSpace(string(e)), "W/"), `"`) == ""
}

// Unquoted returns e without the quotes that S3 sends in headers.
func (e ETag) Unquoted() ETag { return ETag(strings.Trim(string(e), `"`)) }

// Same reports whether both name the same version. Some clients strip the quotes.
func (e ETag) Same(other ETag) bool { return e.Unquoted() == other.Unquoted() }

// IfMatch returns the condition that the object still has the version etag. If etag is empty, no object meets the
// condition.
func IfMatch(etag ETag) Condition {
	if etag == "" {
		etag = `""`
	}
	return Condition{IfMatch: etag}
}
