package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"

	"github.com/dustin/go-humanize"

	"github.com/entrepot-io/entrepot/mirror/inventory"
	"github.com/entrepot-io/entrepot/mirror/layout"
)

// readInventory reads what is in the configured store, and shows its progress.
func (c config) readInventory(ctx context.Context, stderr io.Writer) (*inventory.Inventory, error) {
	store, err := c.openStore(ctx, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, err
	}
	p := startProgress(stderr)
	defer p.stop()
	return inventory.Read(ctx, inventory.Config{
		Store: store, Realm: layout.Public,
		Progress: func(listed, read int64) {
			p.set(fmt.Sprintf("%s objects listed, %s records and manifests read", humanize.Comma(listed), humanize.Comma(read)))
		},
	})
}

// damage returns an error that names the damaged objects, one per line, or nil.
func damage(v *inventory.Inventory) error {
	var all []error
	for _, d := range v.Damaged {
		all = append(all, fmt.Errorf("%s: %w", d.Key, d.Err))
	}
	return errors.Join(all...)
}

// patternArgument returns the only argument as a pattern, or one that matches everything.
func patternArgument(args []string) inventory.Pattern {
	if len(args) == 0 {
		return inventory.Pattern{}
	}
	return inventory.ParsePattern(args[0])
}
