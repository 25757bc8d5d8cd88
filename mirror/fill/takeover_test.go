package fill_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/mirror/fill"
	"github.com/entrepot-io/entrepot/mirror/fill/landing"
	"github.com/entrepot-io/entrepot/mirror/layout"
	"github.com/entrepot-io/entrepot/mirror/lease"
)

// A successor deletes the segments of a leader that pauses just before it composes the blob.
func TestTakeoverBeforeComposeIsNoStoreFailure(t *testing.T) {
	for name, stored := range map[string]bool{"successor has stored the blob": true, "successor is filling": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLink(4, 100)
				id := digest.FromBytes(l.content)
				var p *port
				p = newPort(t, 4*segmentSize, func(event string, nth int) error {
					if event != "compose" || nth > 1 {
						return nil
					}
					bucket := p.store.Store
					for _, key := range p.store.left(t) {
						assert.NoError(t, bucket.Delete(t.Context(), key))
					}
					if stored {
						_, err := bucket.Put(t.Context(), layout.Public.Blob(id), strings.NewReader(string(l.content)), int64(len(l.content)), backend.PutOptions{})
						assert.NoError(t, err)
						return nil
					}
					_, _, err := (&lease.Leases[landing.State]{Store: bucket}).Acquire(t.Context(), layout.Public.FillLease(id))
					assert.NoError(t, err)
					return nil
				})
				f, err := p.Join(t.Context(), id, l)
				require.NoError(t, err)
				err = f.Wait(t.Context())
				if stored {
					require.NoError(t, err)
				} else {
					require.ErrorIs(t, err, lease.ErrLost)
				}
				require.NotErrorIs(t, err, fill.ErrUnstored)
				time.Sleep(time.Minute)
				assert.Len(t, p.store.left(t), 1, "the blob or the successor's lease")
			})
		})
	}
}
