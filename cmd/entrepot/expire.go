package main

import (
	"log/slog"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/backend/fs"
	"github.com/entrepot-io/entrepot/mirror/gc"
	"github.com/entrepot-io/entrepot/mirror/layout"
)

// expireFills removes the state of abandoned fills from a folder until stop is called. Buckets have lifecycle rules for
// that. A fill may take longer than gc.FillRetention: its first segments are then older than that, while its lease is renewed
// every few seconds. So all objects of a blob's fill expire together.
func expireFills(store backend.Store, log *slog.Logger) (stop func()) {
	folder, ok := store.(*fs.Store)
	if !ok {
		return func() {}
	}
	rules := []fs.Rule{{Prefix: layout.Public.Fills(), After: gc.FillRetention}}
	for _, a := range []digest.Algorithm{digest.SHA256, digest.SHA384, digest.SHA512} {
		rules = append(rules, fs.Rule{Prefix: layout.Public.BlobFills(a), After: gc.FillRetention, Together: true})
	}
	folder.Expire(log, rules...)
	return func() { _ = folder.Close() } // never fails
}
