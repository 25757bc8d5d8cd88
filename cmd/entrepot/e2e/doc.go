// Package e2e runs one scenario with each real client, a real registry and a real bucket: pull an image through the
// mirror and run it, remove it from the client, stop the upstream, pull and run it again. The package also runs the OCI
// conformance suite.
//
// All tests need the build tag e2e:
//
//	go test -tags e2e -count=1 -v -timeout 20m ./cmd/entrepot/e2e
package e2e
