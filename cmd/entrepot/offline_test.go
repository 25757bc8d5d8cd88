package main_test

import (
	"net"
	"net/http"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// countDials returns settings of an upstream at which nobody answers, and the number of connections to it.
func countDials(t *testing.T) (setting string, dials *atomic.Int64) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { listener.Close() })
	dials = new(atomic.Int64)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			dials.Add(1)
			conn.Close()
		}
	}()
	return "ENTREPOT_UPSTREAMS=docker.io=http://" + listener.Addr().String(), dials
}

func TestOfflineMirrorDialsNoUpstream(t *testing.T) {
	t.Parallel()
	for name, w := range stores(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			image := w.upstream.Image(fillRepo, "1", 3000)
			online := w.start(t)
			online.pull(t, fillRepo, "1", image)
			waitFor(t, "all is stored", func() bool { return w.usage(t).Fills.Objects == 0 })
			require.Equal(t, http.StatusOK, online.request(t, "/v2/"+fillRepo+"/tags/list").StatusCode)
			online.Signal(t, syscall.SIGTERM)
			require.Zero(t, online.Wait(t, time.Minute))

			setting, dials := countDials(t)
			r := w.start(t, "ENTREPOT_OFFLINE=true", "ENTREPOT_TAG_TTL=1ms", "ENTREPOT_STALE_MAX=1ms", setting)
			for range 3 {
				a := r.has(t, image)
				assert.True(t, a.isStale())
				assert.Less(t, a.took, time.Second)
			}
			r.pull(t, fillRepo, "1", image)
			assert.Equal(t, http.StatusOK, r.request(t, "/v2/"+fillRepo+"/tags/list").StatusCode)
			unknown := digest.FromString("unknown").String()
			for _, path := range []string{"manifests/none", "manifests/" + unknown, "blobs/" + unknown, "referrers/" + unknown} {
				a := r.request(t, "/v2/"+fillRepo+"/"+path)
				assert.Equal(t, http.StatusBadGateway, a.StatusCode, path)
				assert.Contains(t, a.body, `"UNAVAILABLE"`)
				assert.Contains(t, a.body, "offline")
				assert.Less(t, a.took, 2*time.Second, path)
			}
			assert.Contains(t, r.adminPage(t, "/status"), "offline")
			assert.NotContains(t, r.Output(t), "not revalidated")
			failed := w.run(t, "warm", "app:none", "--offline")
			assert.Equal(t, 1, failed.exit)
			assert.Contains(t, failed.stderr, "offline")
			assert.Zero(t, dials.Load(), "connections to the upstream")
		})
	}
}
