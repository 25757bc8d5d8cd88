// Package handlers is the HTTP front: the pull API of the OCI distribution spec, health and the operator's pages.
//
// This package parses a request once, into a route with a name and a reference (route.go). Package mirror answers it, and
// this package decides how the client gets the answer: as bytes, or by a redirect to a URL from package presign. Errors
// become OCI codes and statuses in one place (error.go). This package does not know the bucket or the upstreams.
package handlers
