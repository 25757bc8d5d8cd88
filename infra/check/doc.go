// Package check tests the deployment files that ship with the program: the Compose file, the Helm chart and the systemd
// unit. `make infra-check` runs the tests. The package is in its own module to keep its parsers out of the program's
// dependencies.
package check
