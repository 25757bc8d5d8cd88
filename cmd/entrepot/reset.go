package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/mirror/inventory"
	"github.com/entrepot-io/entrepot/mirror/layout"
)

// resetCommand returns the command that empties the cache.
func resetCommand() *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use:   "reset",
		Short: "Remove everything from the cache",
		Long: "Remove all objects of entrepot from the store at once, even those in use: stop the replicas first. Objects of others in the bucket stay. " +
			"Asks for confirmation.",
		Example: "  entrepot reset\n  entrepot reset --yes --output json",
		Args:    noArgs,
	}
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	format := addOutputFlag(cmd)
	return operator(cmd, func(cmd *cobra.Command, cfg config, _ []string) error {
		if !yes {
			if err := confirm(cmd.InOrStdin(), cmd.ErrOrStderr(), fmt.Sprintf("Remove everything from %s? Type yes: ", cfg.Store)); err != nil {
				return err
			}
		}
		ctx, stop := interruptible(cmd)
		defer stop()
		store, err := cfg.openStore(ctx, nil, slog.New(slog.DiscardHandler))
		if err != nil {
			return err
		}
		shown := startProgress(cmd.ErrOrStderr())
		deleted, err := removeAll(ctx, store, func(n int64) { shown.set(humanize.Comma(n) + " objects deleted") })
		shown.stop()
		if err != nil && ctx.Err() != nil {
			err = errInterrupted
		}
		if *format == "json" {
			return errors.Join(err, printJSON(cmd.OutOrStdout(), map[string]inventory.Amount{"deleted": deleted}))
		}
		_, printErr := fmt.Fprintf(cmd.OutOrStdout(), "deleted %v in %s objects\n", byteSize(deleted.Bytes), humanize.Comma(deleted.Objects))
		return errors.Join(err, printErr)
	})
}

// confirm asks on w, and returns an error unless the answer is yes.
func confirm(r io.Reader, w io.Writer, question string) error {
	fmt.Fprint(w, question)
	answer, _ := bufio.NewReader(r).ReadString('\n') // an empty answer is no
	if strings.TrimSpace(answer) != "yes" {
		return usageError{errors.New("not confirmed; type yes, or use --yes")}
	}
	return nil
}

// removeAll deletes all objects of entrepot.
func removeAll(ctx context.Context, store backend.Store, progress func(deleted int64)) (deleted inventory.Amount, err error) {
	const batch = 1000
	for _, prefix := range []string{string(layout.Public) + "/", layout.Quarantine, layout.Uses} {
		for {
			var objects []backend.Object
			for object, err := range store.List(ctx, prefix, "") {
				if err != nil {
					return deleted, err
				}
				if objects = append(objects, object); len(objects) == batch {
					break
				}
			}
			if len(objects) == 0 {
				break
			}
			group, deleting := errgroup.WithContext(ctx)
			group.SetLimit(16)
			for _, o := range objects {
				group.Go(func() error { return store.Delete(deleting, o.Key) })
			}
			if err := group.Wait(); err != nil {
				return deleted, err
			}
			for _, o := range objects {
				deleted.Objects++
				deleted.Bytes += o.Size
			}
			progress(deleted.Objects)
		}
	}
	return deleted, nil
}
