//go:build e2e

package e2e_test

import (
	"maps"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/entrepot-io/entrepot/infra/testenv"
)

// The mirror gives clients of lists, signatures and charts the same results as the upstream, even after the upstream has
// stopped, and from a replica that starts with nothing but the bucket.
func TestListsAndSignaturesServedWithoutUpstream(t *testing.T) {
	minio := testenv.StartMinIO(t)
	for name, start := range map[string]func(testing.TB) string{
		"with the referrers API":    startReferrersRegistry,
		"without the referrers API": func(t testing.TB) string { return testenv.StartRegistry(t, "127.0.0.2").URL() },
	} {
		t.Run(name, func(t *testing.T) {
			origin := start(t)
			upstream := httptest.NewServer(passOn(t, origin))
			t.Cleanup(upstream.Close)
			registry := strings.TrimPrefix(origin, "http://")
			clients := newListClients(t, registry)
			clients.push(t)
			want := clients.ask(t, registry)

			// Nothing stays fresh, and replicas remember refusals in the bucket only.
			store := append(minioStore(t, minio), "ENTREPOT_NEGATIVE_TTL=1ns")
			replica := func() (addr string) {
				addr = testenv.FreeAddr(t, "127.0.0.1")
				startMirror(t, addr, store, "docker.io="+upstream.URL, time.Nanosecond)
				return addr
			}
			first := replica()
			mustGetTheSame(t, "with the upstream", want, clients.ask(t, first))
			upstream.Close()
			mustGetTheSame(t, "without the upstream", want, clients.ask(t, first))
			mustGetTheSame(t, "without the upstream, from another replica", want, clients.ask(t, replica()))
		})
	}
}

func mustGetTheSame(t *testing.T, when string, want, got map[string]string) {
	t.Helper()
	for request := range maps.Keys(want) {
		if got[request] != want[request] {
			t.Errorf("%s: %s\ngot:\n%s\nwant, from the registry itself:\n%s", when, request, got[request], want[request])
		}
	}
}
