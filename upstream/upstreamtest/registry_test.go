package upstreamtest_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/upstream/upstreamtest"
)

func TestStoppedRegistryRestarts(t *testing.T) {
	t.Parallel()
	reg := upstreamtest.Start(t, upstreamtest.Options{Auth: true, CDN: true, TokenHost: "127.0.0.5"})
	reg.Image("org/app", "v1", 100)
	bearer := "Bearer " + token(t, reg, "org/app")
	host := reg.Host()
	reg.Faults.Set(upstreamtest.Fault{Hang: true, Times: 1})
	hung := make(chan error)
	go func() {
		_, err := askWith(context.Background(), "GET", reg.URL()+"/v2/")
		hung <- err
	}()
	require.Eventually(t, func() bool { return reg.Faults.Left() == 0 }, 5*time.Second, time.Millisecond)

	for range 3 {
		reg.Stop()
		reg.Stop()
		for _, addr := range []string{reg.Host(), reg.TokenHost(), reg.CDNHost()} {
			_, err := ask(t, "GET", "http://"+addr+"/v2/")
			require.ErrorContains(t, err, "connection refused")
		}
		require.Zero(t, reg.Counts().Connections)
		require.NoError(t, reg.Restart())
		require.NoError(t, reg.Restart())
		require.Equal(t, host, reg.Host())
		require.Equal(t, 200, get(t, reg.URL()+"/v2/org/app/manifests/v1", "Authorization", bearer).StatusCode)
	}
	require.Error(t, <-hung)

	_, err := upstreamtest.New(upstreamtest.Options{Host: host})
	require.ErrorContains(t, err, "address already in use")
}
