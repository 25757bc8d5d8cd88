package main

import (
	"log/slog"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/backend/fs"
	"github.com/entrepot-io/entrepot/mirror/layout"
)

// fillRetention is how long the state of a fill is kept after its last write, so that a later request can resume it. The
// lifecycle rule in docs/stores.md has the same value.
const fillRetention = 24 * time.Hour

// expireFills removes the state of abandoned fills from a folder until stop is called. Buckets have lifecycle rules for
// that. A fill may take longer than fillRetention: its first segments are then older than that, while its lease is renewed
// every few seconds. So all objects of a blob's fill expire together.
func expireFills(store backend.Store, log *slog.Logger) (stop func()) {
	folder, ok := store.(*fs.Store)
	if !ok {
		return func() {}
	}
	rules := []fs.Rule{{Prefix: layout.Public.Fills(), After: fillRetention}}
	for _, a := range []digest.Algorithm{digest.SHA256, digest.SHA384, digest.SHA512} {
		rules = append(rules, fs.Rule{Prefix: layout.Public.BlobFills(a), After: fillRetention, Together: true})
	}
	folder.Expire(log, rules...)
	return func() { _ = folder.Close() } // never fails
}
