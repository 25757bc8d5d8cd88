package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/opencontainers/go-digest"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"

	"github.com/entrepot-io/entrepot/mirror"
	"github.com/entrepot-io/entrepot/mirror/gc"
	"github.com/entrepot-io/entrepot/mirror/inventory"
	"github.com/entrepot-io/entrepot/mirror/layout"
)

// gcOptions are the flags of gc.
type gcOptions struct {
	keepLast int
	keep     []string
	keepFrom []string
	rules    string
	steps    stepOptions
	output   *outputFormat
}

// stepOptions are the flags of commands that delete in two steps.
type stepOptions struct {
	grace  string
	wait   bool
	dryRun bool
}

func (o *stepOptions) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&o.grace, "grace", "1h", "`TIME` between marking and deleting; longer than ENTREPOT_PRESENCE_TTL and the time that clients take to follow a URL")
	flags.BoolVar(&o.wait, "wait", false, "wait for the grace period and delete what was marked")
	flags.BoolVar(&o.dryRun, "dry-run", false, "change nothing; show what would be deleted in the end")
}

// gcCommand returns the command that removes what has been unused for longest.
func gcCommand() *cobra.Command {
	var o gcOptions
	cmd := &cobra.Command{
		Use:   "gc",
		Short: "Remove what has been unused for longest",
		Long: "Remove the images that have been unused for longest, with what only they need: manifests, blobs, referrers and signatures. Also remove " +
			"abandoned fills, old marks and old markers of use.\n\n" +
			"Without --max-size (auto means none here), --max-age and --rules, all images stay. gc deletes in two steps: it marks objects, and deletes those that were not used " +
			"since when it runs again after the grace period, or at once after it with --wait. It is safe beside running replicas and pulls in progress.\n\n" +
			"PATTERN is REGISTRY/REPOSITORY, REGISTRY/REPOSITORY:TAG or a digest; * matches any characters. A file of rules is YAML: a list rules, each with " +
			"a pattern and any of maxSize, maxAge, keepLast and keep: true. The first that matches an image applies to it.",
		Example: "  entrepot gc --max-size 500GiB --keep 'ghcr.io/org/*'\n" +
			"  kubectl get pods -A -o jsonpath='{..image}' | tr ' ' '\\n' | entrepot gc --max-age 30d --keep-from - --dry-run",
		Args: noArgs,
	}
	flags := cmd.Flags()
	flags.IntVar(&o.keepLast, "keep-last", 0, "so many newest tags of each repository stay")
	flags.StringArrayVar(&o.keep, "keep", nil, "images that match `PATTERN` stay; may be repeated")
	flags.StringArrayVar(&o.keepFrom, "keep-from", nil, "images and digests listed in `FILE` stay (- for standard input); see warm -f")
	flags.StringVar(&o.rules, "rules", "", "`FILE` with limits for some images, in place of ENTREPOT_GC_RULES")
	o.steps.add(cmd)
	o.output = addOutputFlag(cmd)
	operator(cmd, func(cmd *cobra.Command, cfg config, _ []string) error {
		limits, err := o.read(cmd.InOrStdin(), cfg)
		if err != nil {
			return err
		}
		return cfg.collect(cmd, limits, o.steps, *o.output)
	})
	for _, name := range []string{"max-size", "max-age"} { // settings that belong to this command
		flags.Lookup(name).Hidden = false
	}
	return cmd
}

// read returns what the flags say, without the steps.
func (o gcOptions) read(stdin io.Reader, cfg config) (c gc.Config, err error) {
	c.Limits.MaxBytes, c.Limits.MaxAge = int64(cfg.MaxSize.size), time.Duration(cfg.MaxAge)
	if c.Limits.KeepLast = o.keepLast; o.keepLast < 0 {
		return c, usageError{fmt.Errorf("--keep-last: %d is negative; write 0 or more", o.keepLast)}
	}
	for _, text := range o.keep {
		c.Keep = append(c.Keep, inventory.ParsePattern(text))
	}
	for _, file := range o.keepFrom {
		images, err := readImageList(file, stdin)
		if err != nil {
			return c, err
		}
		if c.Keep, err = appendKept(c.Keep, cfg, images); err != nil {
			return c, err
		}
	}
	if file := cmp.Or(o.rules, cfg.GCRules); file != "" {
		c.Rules, err = readRules(file)
	}
	return c, err
}

// appendKept appends patterns for images and digests that stay.
func appendKept(keep []inventory.Pattern, cfg config, images []string) ([]inventory.Pattern, error) {
	core, err := cfg.names()
	if err != nil {
		return nil, err
	}
	defer core.Close()
	for _, image := range images {
		if d := digest.Digest(image); d.Validate() == nil {
			keep = append(keep, inventory.ParsePattern(image))
			continue
		}
		repo, ref, err := parseImage(core, image)
		if err != nil {
			return nil, usageError{fmt.Errorf("--keep-from: %s: %w", image, err)}
		}
		if d, ok := ref.Digest(); ok { // also of an image without a tag, whose repository is not known
			keep = append(keep, inventory.ParsePattern(d.String()))
			continue
		}
		keep = append(keep, inventory.ParsePattern(repo.String()+":"+ref.Tag()))
	}
	return keep, nil
}

// names returns a mirror that is only used to find what images' names mean.
func (c config) names() (*mirror.Mirror, error) {
	c.DockerConfig, c.RecordUse = "", false
	_, core, err := build(context.Background(), c, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	return core, err
}

func durationFlag(name, text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	var d age
	if err := d.UnmarshalText([]byte(text)); err != nil {
		return 0, usageError{fmt.Errorf("%s: %q is %w", name, text, err)}
	}
	return time.Duration(d), nil
}

// collect runs the garbage collector and prints its report.
func (c config) collect(cmd *cobra.Command, g gc.Config, steps stepOptions, format outputFormat) (err error) {
	if g.Grace, err = durationFlag("--grace", steps.grace); err != nil {
		return err
	}
	if g.Grace < 2*c.PresenceTTL && !steps.dryRun && !c.Store.isFolder() {
		fmt.Fprintf(cmd.ErrOrStderr(), "--grace %s is less than twice %s (ENTREPOT_PRESENCE_TTL): replicas may redirect clients to what is gone\n", g.Grace, c.PresenceTTL)
	}
	g.Wait, g.DryRun = steps.wait, steps.dryRun
	ctx, stop := interruptible(cmd)
	defer stop()
	store, err := c.openStore(ctx, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	g.Store, g.Realm, g.UseInterval = store, layout.Public, c.useInterval()
	shown := startProgress(cmd.ErrOrStderr())
	g.Progress = shown.set
	report, err := gc.Run(ctx, g)
	shown.stop()
	if err != nil && ctx.Err() != nil {
		err = errInterrupted
	}
	if format == "json" {
		err = errors.Join(err, printJSON(cmd.OutOrStdout(), report))
	} else {
		err = errors.Join(err, printCollected(cmd.OutOrStdout(), report))
	}
	for _, d := range report.Damaged {
		err = errors.Join(err, fmt.Errorf("%s: %w", d.Key, d.Err))
	}
	return err
}

// useInterval is how precisely the last use of objects is recorded, 0 if it is not.
func (c config) useInterval() time.Duration {
	switch {
	case !c.RecordUse:
		return 0
	case c.Store.isFolder():
		return time.Second
	}
	return mirror.UseInterval
}

func printCollected(w io.Writer, r gc.Report) error {
	amount := func(a inventory.Amount) string {
		return fmt.Sprintf("%s in %s objects", byteSize(a.Bytes), humanize.Comma(a.Objects))
	}
	rows := [][]string{{"deleted", fmt.Sprintf("%s images, %s", humanize.Comma(r.Deleted.Images), amount(r.Deleted.Amount))}}
	if r.DryRun {
		rows[0][0] = "would be deleted"
	} else {
		rows = append(rows, []string{"marked for later", amount(r.Marked)}, []string{"left over", humanize.Comma(r.Swept) + " objects deleted"})
	}
	return printTable(w, append(rows, []string{"kept", amount(r.Kept)}))
}
