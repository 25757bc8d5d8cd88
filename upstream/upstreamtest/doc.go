// Package upstreamtest is an upstream registry for tests: a real HTTP server that behaves like Docker Hub, misbehaves on
// command, and counts what it receives and sends.
//
// The registry, its token service and its CDN listen on different loopback addresses, since it depends on the host what a
// client may send, above all its Authorization. Linux answers on all of 127.0.0.0/8. On other systems, set the addresses
// up, or choose others in Options.
//
// The package knows nothing about the mirror under test. Add content with Image, Index, Manifest and Blob, add faults to
// Registry.Faults, and read what happened from Counts and Requests. All methods may be called while the registry runs, from
// any goroutine.
package upstreamtest
