//go:build e2e

package e2e_test

import (
	"net"
	"strings"
	"testing"

	"github.com/entrepot-io/entrepot/infra/testenv"
)

// documented returns the first code block after a line of docs/clients.md, with addr in place of the mirror's address.
func documented(t testing.TB, line, addr string) string {
	t.Helper()
	return strings.ReplaceAll(testenv.Snippet(t, "docs/clients.md", line), "mirror:5000", addr)
}

// byName returns addr with the documented host name. Clients treat loopback addresses differently, and do not recognize the
// name as one.
func byName(t testing.TB, addr string) string {
	t.Helper()
	_, port, err := net.SplitHostPort(addr)
	must(t, err, "find the port of "+addr)
	return net.JoinHostPort(testenv.Mirror, port)
}
