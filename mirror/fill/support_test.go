package fill_test

import (
	"log/slog"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/mirror/ability"
	"github.com/entrepot-io/entrepot/mirror/lease"
)

// abilities returns the Abilities of a store with known support for leases.
func abilities(store backend.Store, leases bool) *ability.Abilities {
	return ability.New(ability.Config{
		Store: store, Log: slog.New(slog.DiscardHandler), Support: &lease.Support{Able: leases, Reason: "not in this test"},
	})
}
