// Package transfer brings the bytes of a blob from its source into the growing blob.
//
// It finds out the size, fetches segments over several connections, or all of them from one stream if the source gives no
// ranges, and retries. It does not know what becomes of a complete segment.
package transfer
