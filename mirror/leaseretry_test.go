package mirror_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/entrepot-io/entrepot/backend/backendtest/memory"
	"github.com/entrepot-io/entrepot/mirror"
)

// errReset is a transient error.
var errReset error = &net.OpError{Op: "read", Net: "tcp", Err: syscall.ECONNRESET}

func TestLeaseIsRetriedAfterTransientErrors(t *testing.T) {
	for name, c := range map[string]struct {
		err    error
		writes int64 // of the lease
	}{
		"transient": {errReset, 2},
		"final":     {errors.New("invalid"), 1},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, o *origin) {
				var writes atomic.Int64
				store := &readOnly{Store: new(memory.Store)}
				store.set(func(_ context.Context, key string) error {
					if strings.HasPrefix(key, "public/fills/tags/") && writes.Add(1) == 1 {
						return c.err
					}
					return nil
				})
				bubbled(t, store, o, mirror.Config{}).mustGet(t, "app", "1")
				assert.Equal(t, c.writes, writes.Load())
			})
		})
	}
}
