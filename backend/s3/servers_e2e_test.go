//go:build e2e

package s3_test

import (
	"testing"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/backend/backendtest"
	"github.com/entrepot-io/entrepot/infra/testenv"
)

func TestStoreOnSeaweedFS(t *testing.T) { onOddServer(t, testenv.StartSeaweedFS(t), nil) }

func TestStoreOnCeph(t *testing.T) { onOddServer(t, testenv.StartCeph(t), backendtest.Ceph16) }

func TestStoreOnRclone(t *testing.T) { onOddServer(t, testenv.StartRclone(t), backendtest.Rclone) }

func TestStoreBehindFaultyProxiesOnMinIO(t *testing.T) { behindProxies(t, testenv.StartMinIO(t)) }

// onOddServer checks the contract except for the server's known deviations.
func onOddServer(t *testing.T, server *testenv.S3, deviations backendtest.Deviations) {
	server.CreateBucket(t, bucket)
	backendtest.Run(t, deviations.Open(func(t *testing.T) backend.Store { return open(t, server, config(server)) }))
	t.Run("prefix", func(t *testing.T) {
		c := config(server)
		whole := c
		whole.Prefix = ""
		backendtest.Prefix(t, open(t, server, whole), open(t, server, c), c.Prefix)
	})
	t.Run("outage", func(t *testing.T) { // last, since it ends the server
		backendtest.Outage(t, open(t, server, config(server)), server.Stop, func() { server.Restart(t) })
	})
}
