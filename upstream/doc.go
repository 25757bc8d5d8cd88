// Package upstream is the client of one upstream registry.
//
// It has the names of things in registries (Repository, Reference), the endpoints of an upstream with their states and
// order, tokens, and the requests of the pull API with their errors. Package mirror calls it and decides what to keep of
// the responses, and for how long. It imports only package bounded.
package upstream
