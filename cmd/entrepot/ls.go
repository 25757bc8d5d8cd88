package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/entrepot-io/entrepot/mirror/inventory"
)

// lsCommand returns the command that lists cached images.
func lsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "ls [PATTERN]",
		Short: "List cached images",
		Long: "List the images in the cache with their platforms, sizes and times.\n\n" +
			"PATTERN is REGISTRY/REPOSITORY, REGISTRY/REPOSITORY:TAG or REGISTRY/REPOSITORY@DIGEST; * matches any characters.\n" +
			"SIZE counts what is cached of an image; SHARED is the part that other images need too. USED has the precision of a day.",
		Example: "  entrepot ls\n  entrepot ls 'docker.io/library/*' --digests --output json",
		Args:    atMostOne,
	}
	format := addOutputFlag(cmd)
	digests := cmd.Flags().Bool("digests", false, "also list manifests without a tag")
	return operator(cmd, func(cmd *cobra.Command, cfg config, args []string) error {
		v, err := cfg.readInventory(cmd.Context(), cmd.ErrOrStderr())
		if err != nil {
			return err
		}
		return ls(cmd.Context(), v, patternArgument(args), *digests, *format, cmd.OutOrStdout())
	})
}

// ls prints the images that match a pattern.
func ls(ctx context.Context, v *inventory.Inventory, p inventory.Pattern, digests bool, format outputFormat, w io.Writer) error {
	images, err := v.Images(ctx, p, digests)
	if err != nil {
		return err
	}
	if format == "json" {
		err = printJSON(w, map[string]any{"images": images})
	} else {
		err = printTable(w, imageRows(images, time.Now()))
	}
	if err != nil {
		return err
	}
	return damage(v)
}

func imageRows(images []inventory.Image, now time.Time) [][]string {
	rows := [][]string{{"IMAGE", "DIGEST", "PLATFORMS", "SIZE", "SHARED", "CACHED", "CHECKED", "USED"}}
	for _, i := range images {
		name := i.Name()
		if i.Tag == "" {
			name = "-"
		}
		rows = append(rows, []string{
			name, i.Digest.String(), orDash(strings.Join(i.Platforms, ",")),
			byteSize(i.Bytes).String(), byteSize(i.SharedBytes).String(),
			since(i.FirstCached, now), since(i.LastChecked, now), since(i.LastUsed, now),
		})
	}
	return rows
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func atMostOne(cmd *cobra.Command, args []string) error {
	if len(args) > 1 {
		return usageError{fmt.Errorf("%s takes one pattern at most, but got %q; quote patterns with *", cmd.CommandPath(), args)}
	}
	return nil
}
