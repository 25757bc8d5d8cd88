// Package mirror is the pull-through core. Given a repository and a reference, it returns a manifest, a blob's descriptor or an
// error, from memory, from the bucket or from the upstream.
//
// It chooses the upstream, keeps tags fresh and knows which blobs are in the bucket. Package mirror/fill transfers blobs,
// and mirror/layout defines the keys in the bucket. Package mirror knows no HTTP server and no URLs: its caller, package
// handlers, decides how a client gets a blob. It calls packages upstream and backend.
package mirror
