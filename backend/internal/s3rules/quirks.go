package s3rules

import "sync/atomic"

// Quirks is what a store has learned about its server. The zero value means nothing.
type Quirks struct {
	unquotedCopies atomic.Bool  // x-amz-copy-source-if-match works only without quotes
	opaqueETags    atomic.Bool  // ETags that look like MD5s are not
	listedKeys     atomic.Int32 // how keys appear in listings that do not say whether they are encoded
}

// Values of Quirks.listedKeys; 0: unknown.
const (
	plainKeys int32 = iota + 1
	encodedKeys
)
