package fill_test

import (
	"log/slog"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/mirror/ability"
	"github.com/entrepot-io/entrepot/mirror/lease"
)

// abilities are those of a store of which it is known whether it can hold leases.
func abilities(store backend.Store, leases bool) *ability.Abilities {
	return ability.New(ability.Config{
		Store: store, Log: slog.New(slog.DiscardHandler), Support: &lease.Support{Able: leases, Reason: "not in this test"},
	})
}
