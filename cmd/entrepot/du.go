package main

import (
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/entrepot-io/entrepot/mirror/inventory"
)

// duCommand returns the command that shows what takes the cache's space.
func duCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "du [PATTERN]",
		Short: "Show what takes the cache's space",
		Long: "Show the size of the cache: in total, by registry and by repository, what deduplication saves, the largest images, those " +
			"unused for longest, and what no tag or index reaches.\n\n" +
			"PATTERN is REGISTRY/REPOSITORY or REGISTRY/REPOSITORY:TAG; * matches any characters. It selects images; the totals are of the whole bucket.",
		Example: "  entrepot du\n  entrepot du 'ghcr.io/*' --output json",
		Args:    atMostOne,
	}
	format := addOutputFlag(cmd)
	return operator(cmd, func(cmd *cobra.Command, cfg config, args []string) error {
		v, err := cfg.readInventory(cmd.Context(), cmd.ErrOrStderr())
		if err != nil {
			return err
		}
		usage := v.Usage(patternArgument(args))
		if *format == "json" {
			err = printJSON(cmd.OutOrStdout(), usage)
		} else {
			err = printUsage(cmd.OutOrStdout(), usage)
		}
		if err != nil {
			return err
		}
		return damage(v)
	})
}

func printUsage(w io.Writer, u inventory.Usage) error {
	now := time.Now()
	amount := func(a inventory.Amount) string {
		return fmt.Sprintf("%s in %s objects", byteSize(a.Bytes), humanize.Comma(a.Objects))
	}
	tables := [][][]string{{
		{"total", amount(u.Amount)},
		{"images without sharing", byteSize(u.LogicalBytes).String()},
		{"saved by sharing", byteSize(u.SavedBytes).String()},
		{"reached by no tag or index", amount(u.Unreferenced)},
		{"unfinished fills", amount(u.Fills)},
	}}
	registries := [][]string{{"REGISTRY", "TAGS", "SIZE"}}
	for _, r := range u.Registries {
		registries = append(registries, []string{r.Registry, strconv.Itoa(r.Tags), byteSize(r.Bytes).String()})
	}
	repositories := [][]string{{"REPOSITORY", "TAGS", "SIZE", "EXCLUSIVE"}}
	for _, r := range u.Repositories {
		repositories = append(repositories, []string{r.Repository, strconv.Itoa(r.Tags), byteSize(r.Bytes).String(), byteSize(r.ExclusiveBytes).String()})
	}
	largest := [][]string{{"LARGEST IMAGES", "SIZE"}}
	for _, i := range u.Largest {
		largest = append(largest, []string{i.Name(), byteSize(i.Bytes).String()})
	}
	oldest := [][]string{{"LONGEST UNUSED", "USED"}}
	for _, i := range u.Oldest {
		oldest = append(oldest, []string{i.Name(), since(i.LastUsed, now)})
	}
	for i, table := range append(tables, registries, repositories, largest, oldest) {
		if i > 0 {
			if len(table) == 1 {
				continue // only titles
			}
			fmt.Fprintln(w)
		}
		if err := printTable(w, table); err != nil {
			return err
		}
	}
	return nil
}
