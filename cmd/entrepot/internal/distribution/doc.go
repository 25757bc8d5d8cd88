// Package distribution translates a configuration of distribution, the registry in the image named registry, into settings
// of entrepot.
//
// It reads the file and the REGISTRY_ variables by distribution's rules, and knows the names of entrepot's settings. It does
// not check their values: the caller does. No part of its output contains a password or a key, and notes contain no values
// of the file at all.
//
// The reference is docs/content/about/configuration.md in github.com/distribution/distribution.
package distribution
