package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/mirror/copying"
	"github.com/entrepot-io/entrepot/mirror/inventory"
	"github.com/entrepot-io/entrepot/mirror/layout"
)

// copyOptions are the flags of copy.
type copyOptions struct {
	from, to string
	jobs     int
	output   *outputFormat
}

// copyCommand returns the command that copies a cache to another store.
func copyCommand() *cobra.Command {
	var o copyOptions
	cmd := &cobra.Command{
		Use:   "copy [PATTERN]",
		Short: "Copy the cache to another store",
		Long: "Copy a cache from one store to another: blobs, manifests, tags and lists. Each digest is verified on the way, and objects that are there are " +
			"skipped, so a run that was interrupted is continued by the next one. Replicas may use both stores meanwhile; a later run copies what was cached since. " +
			"What only concerns one bucket is not copied: fills, times of use, what gc has marked.\n\n" +
			"PATTERN is REGISTRY/REPOSITORY, REGISTRY/REPOSITORY:TAG or a digest; * matches any characters. It selects images, with all that they need, their " +
			"signatures and other referrers. Without it, everything is copied.\n\n" +
			"STORE is a store as in ENTREPOT_STORE. Both stores use the same credentials and settings.",
		Example: "  entrepot copy --from file:/var/lib/entrepot --to s3://my-bucket\n" +
			"  entrepot copy --from s3://my-bucket/old --to s3://my-bucket/new 'ghcr.io/org/*'",
		Args: atMostOne,
	}
	flags := cmd.Flags()
	flags.StringVar(&o.from, "from", "", "`STORE` to copy from (required)")
	flags.StringVar(&o.to, "to", "", "`STORE` to copy to (required)")
	flags.IntVarP(&o.jobs, "jobs", "j", 8, "objects at a time")
	o.output = addOutputFlag(cmd)
	return operator(cmd, func(cmd *cobra.Command, cfg config, args []string) error {
		if o.jobs < 1 {
			return usageError{fmt.Errorf("--jobs: %d is too few; write 1 or more", o.jobs)}
		}
		if o.from == o.to && o.from != "" {
			return usageError{fmt.Errorf("--from and --to are the same store, %s", o.from)}
		}
		from, err := cfg.openNamed(cmd.Context(), "--from", o.from)
		if err != nil {
			return err
		}
		to, err := cfg.openNamed(cmd.Context(), "--to", o.to)
		if err != nil {
			return err
		}
		return copyStore(cmd, copying.Config{From: from, To: to, Realm: layout.Public, Pattern: patternArgument(args), Jobs: o.jobs}, *o.output)
	})
}

// openNamed opens the store that a flag names. A folder to read must exist.
func (c config) openNamed(ctx context.Context, flag, text string) (backend.Store, error) {
	if text == "" {
		return nil, usageError{fmt.Errorf("copy: name a store with %s, for example s3://my-bucket", flag)}
	}
	if err := c.Store.UnmarshalText([]byte(text)); err != nil {
		return nil, usageError{fmt.Errorf("%s: %w", flag, err)}
	}
	if c.Store.isFolder() && flag == "--from" {
		if _, err := os.Stat(c.Store.path); err != nil {
			return nil, usageError{fmt.Errorf("%s: %w", flag, err)}
		}
	}
	if err := c.check(); err != nil {
		return nil, err
	}
	return c.openStore(ctx, nil, slog.New(slog.DiscardHandler))
}

// copyReport is the JSON form of the result.
type copyReport struct {
	copying.Report
	Seconds float64 `json:"seconds"`
}

func copyStore(cmd *cobra.Command, c copying.Config, format outputFormat) error {
	ctx, stop := interruptible(cmd)
	defer stop()
	began := time.Now()
	shown := startProgress(cmd.ErrOrStderr())
	c.Progress = func(copied inventory.Amount) {
		shown.set(fmt.Sprintf("%s objects copied, %v", humanize.Comma(copied.Objects), byteSize(copied.Bytes)))
	}
	report, err := copying.Run(ctx, c)
	shown.stop()
	if err != nil && ctx.Err() != nil {
		err = errInterrupted
	}
	for _, failed := range report.Failed {
		err = errors.Join(err, fmt.Errorf("copy %s: %s", failed.Key, failed.Error))
	}
	if format == "json" {
		return errors.Join(printJSON(cmd.OutOrStdout(), copyReport{report, time.Since(began).Seconds()}), err)
	}
	return errors.Join(printCopied(cmd.OutOrStdout(), report), err)
}

func printCopied(w io.Writer, r copying.Report) error {
	amount := func(a inventory.Amount) string {
		return fmt.Sprintf("%v in %s objects", byteSize(a.Bytes), humanize.Comma(a.Objects))
	}
	return printTable(w, [][]string{{"copied", amount(r.Copied)}, {"there already", amount(r.Skipped)}, {"failed", humanize.Comma(int64(len(r.Failed))) + " objects"}})
}
