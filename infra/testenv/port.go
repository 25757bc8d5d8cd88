package testenv

import (
	"math/rand/v2"
	"net"
	"strconv"
	"sync/atomic"
	"testing"
)

// FreeAddr returns ports from firstPort to firstPort+ports-1. Linux uses 32768 and up for outgoing connections and port 0;
// another process could take such a port before the server listens on it.
const firstPort, ports = 10_000, 22_000

var lastPort atomic.Uint32

func init() { lastPort.Store(rand.Uint32N(ports)) }

// FreeAddr returns host with a free port. Calls in one process return different ports.
func FreeAddr(t testing.TB, host string) string {
	t.Helper()
	for range ports {
		addr := net.JoinHostPort(host, strconv.Itoa(firstPort+int(lastPort.Add(1)%ports)))
		if l, err := net.Listen("tcp", addr); err == nil {
			l.Close()
			return addr
		}
	}
	t.Fatalf("no port of %s is free", host)
	return ""
}
