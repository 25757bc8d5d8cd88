// Package landing brings a growing blob into the bucket: it stores segments, hashes them in order, and composes the blob of
// them when the hash is right. It also adopts what a predecessor left, and removes what nobody needs any more.
//
// Whether this process may do so is up to its caller: functions that delete or compose call back to confirm the lease.
package landing
