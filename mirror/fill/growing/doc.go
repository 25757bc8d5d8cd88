// Package growing holds a blob on its way to the bucket: its size, its segments, the memory they take, and its readers.
//
// A Blob is cut into segments. A transfer, or another replica, brings them; they stay in memory until they are stored, and
// longer if nobody needs the memory. A reader takes its bytes from the segments in memory, otherwise from those in the
// bucket, otherwise from the finished object. A slow reader falls behind and disturbs nobody.
//
// The package does not know where the bytes come from, nor who stores them.
package growing
