package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strconv"

	"github.com/dustin/go-humanize"
	"github.com/opencontainers/go-digest"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"

	"github.com/entrepot-io/entrepot/mirror"
	"github.com/entrepot-io/entrepot/mirror/inventory"
	"github.com/entrepot-io/entrepot/mirror/layout"
	"github.com/entrepot-io/entrepot/mirror/verify"
	"github.com/entrepot-io/entrepot/upstream"
)

// verifyOptions are the flags of verify.
type verifyOptions struct {
	sample string
	jobs   int
	repair bool
	output *outputFormat
}

// verifyCommand returns the command that compares what is stored with its digests.
func verifyCommand() *cobra.Command {
	var o verifyOptions
	cmd := &cobra.Command{
		Use:   "verify [PATTERN]",
		Short: "Check that what is cached is right and complete",
		Long: "Read the cached objects, compare them with their digests, and check that each image has all that it needs, except platforms that were " +
			"never pulled. Move bad objects to quarantine/ in the bucket, so that the next pull fetches them again, or fetch them at once with --repair.\n\n" +
			"PATTERN is REGISTRY/REPOSITORY, REGISTRY/REPOSITORY:TAG or a digest; * matches any characters. Without it, all objects are read. A run that was " +
			"interrupted is continued by the next one with the same pattern.",
		Example: "  entrepot verify --sample 5%\n  entrepot verify 'ghcr.io/org/*' --repair --output json",
		Args:    atMostOne,
	}
	flags := cmd.Flags()
	flags.StringVar(&o.sample, "sample", "", "read only a random `SHARE` of the objects, for example 5%")
	flags.IntVarP(&o.jobs, "jobs", "j", 8, "objects at a time")
	flags.BoolVar(&o.repair, "repair", false, "fetch bad and missing objects again from their upstream")
	o.output = addOutputFlag(cmd)
	return operator(cmd, func(cmd *cobra.Command, cfg config, args []string) error {
		v := verify.Config{Realm: layout.Public, Pattern: patternArgument(args), Jobs: o.jobs}
		if o.jobs < 1 {
			return usageError{fmt.Errorf("--jobs: %d is too few; write 1 or more", o.jobs)}
		}
		if o.sample != "" {
			var share percentage
			if err := share.UnmarshalText([]byte(o.sample)); err != nil {
				return usageError{fmt.Errorf("--sample: %q: %w", o.sample, err)}
			}
			v.Sample = float64(share)
		}
		return cfg.verify(cmd, v, o)
	})
}

func (c config) verify(cmd *cobra.Command, v verify.Config, o verifyOptions) error {
	ctx, stop := interruptible(cmd)
	defer stop()
	c.RecordUse = false // nobody uses what is verified
	log := slog.New(slog.DiscardHandler)
	if err := c.readSecrets(ctx, log); err != nil {
		return err
	}
	store, core, err := build(ctx, c, log, prometheus.NewRegistry())
	if err != nil {
		return err
	}
	defer closeSoon(ctx, core)
	v.Store = store
	if o.repair {
		v.Repair = func(ctx context.Context, of inventory.Image, kind layout.Content, d digest.Digest) error {
			return landAgain(ctx, core, of, kind, d)
		}
	}
	shown := startProgress(cmd.ErrOrStderr())
	v.Progress = func(checked, bytes int64) {
		shown.set(fmt.Sprintf("%s objects checked, %v", humanize.Comma(checked), byteSize(bytes)))
	}
	report, err := verify.Run(ctx, v)
	shown.stop()
	if err != nil && ctx.Err() != nil {
		err = errInterrupted
	}
	err = errors.Join(append([]error{err}, report.Errors...)...)
	for _, bad := range report.Bad {
		if !bad.Repaired {
			err = errors.Join(err, notRepaired(bad))
		}
	}
	if *o.output == "json" {
		return errors.Join(printJSON(cmd.OutOrStdout(), report), err)
	}
	return errors.Join(printVerified(cmd.OutOrStdout(), report), err)
}

func notRepaired(bad verify.Bad) error {
	if bad.Err != nil {
		return fmt.Errorf("%s: %s, not repaired: %w", bad.Key, bad.Problem, bad.Err)
	}
	return fmt.Errorf("%s: %s", bad.Key, bad.Problem)
}

// landAgain fetches an object for an image that needs it.
func landAgain(ctx context.Context, core *mirror.Mirror, of inventory.Image, kind layout.Content, d digest.Digest) error {
	repo, err := core.Choose("", of.Registry+"/"+of.Repository)
	if err != nil {
		return err
	}
	if kind == layout.Manifests {
		answer, err := core.Manifest(ctx, repo, upstream.ByDigest(d))
		if err != nil {
			return err
		}
		if _, stored := answer.StoredAt(); !stored {
			return mirror.ErrUnstored
		}
		return nil
	}
	core.Forget(d)
	blob, err := core.Blob(ctx, repo, d)
	if err != nil {
		return err
	}
	body, err := blob.Open(ctx, 0, 0)
	if err == nil {
		_, err = io.Copy(io.Discard, body) // keeps the fill going
		body.Close()
	}
	return errors.Join(err, blob.Wait(ctx))
}

func printVerified(w io.Writer, r verify.Report) error {
	for _, bad := range r.Bad {
		repaired := ""
		if bad.Repaired {
			repaired = ", repaired"
		}
		if _, err := fmt.Fprintf(w, "%s: %s%s\n", bad.Key, bad.Problem, repaired); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(w, "%s objects checked, %v, %s bad\n", humanize.Comma(r.Checked), byteSize(r.Bytes), strconv.Itoa(len(r.Bad)))
	return err
}
