// Package fill brings blobs into the bucket: it fetches the bytes of a blob from an upstream once, for all clients of all
// replicas, gives them to every reader as they arrive, and makes them visible in the bucket only when their hash is right.
//
// A Fill takes the blob's lease and leads, or follows the replica that has it. The parts of a fill are packages below this
// one: growing holds the bytes and serves readers, transfer fetches, landing stores, and budget shares memory, download
// slots and places between fills. This package decides who does what, keeps the lease, and hands over at shutdown. It does
// not know what a blob is for.
package fill
