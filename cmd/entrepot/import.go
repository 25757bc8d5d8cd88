package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/entrepot-io/entrepot/mirror"
	"github.com/entrepot-io/entrepot/mirror/archive"
	"github.com/entrepot-io/entrepot/mirror/layout"
	"github.com/entrepot-io/entrepot/mirror/warm"
)

// importOptions are the flags of import.
type importOptions struct {
	from             string
	fromDistribution string
	registry         string
	jobs             int
	output           *outputFormat
}

// importCommand returns the command that reads images from an OCI image layout.
func importCommand() *cobra.Command {
	var o importOptions
	cmd := &cobra.Command{
		Use:   "import",
		Short: "Read images from a folder or tar file into the cache",
		Long: "Read the images of an OCI image layout, a folder or an uncompressed tar file, into the cache. Each digest is verified before it becomes " +
			"visible. Nothing is requested from upstreams.\n\n" +
			"The images need their full names, REGISTRY/REPOSITORY:TAG, as annotations io.containerd.image.name or org.opencontainers.image.ref.name in the layout's " +
			"index; export and containerd write them. The registries must be among ENTREPOT_UPSTREAMS. An imported tag counts as the upstream's answer at this " +
			"time: it replaces a cached one. Replicas that have served a tag serve the imported one within a minute.\n\n" +
			"--from-distribution takes over what a pull-through cache of distribution (the image named registry) has stored of one upstream. What it lacks of an " +
			"image is fetched when a client pulls it.",
		Example: "  entrepot import --from images.tar\n" +
			"  entrepot import --from-distribution file:/var/lib/registry --registry docker.io",
		Args: noArgs,
	}
	flags := cmd.Flags()
	flags.StringVar(&o.from, "from", "", "`PATH` of a folder or tar file")
	flags.StringVar(&o.fromDistribution, "from-distribution", "", "`STORE` with the data of a registry, as in ENTREPOT_STORE: file:DIR or s3://BUCKET/PREFIX, above docker/registry/v2")
	flags.StringVar(&o.registry, "registry", "", "upstream of that registry, such as docker.io; default: the first upstream")
	flags.IntVarP(&o.jobs, "jobs", "j", 4, "blobs at a time")
	o.output = addOutputFlag(cmd)
	return operator(cmd, func(cmd *cobra.Command, cfg config, _ []string) error {
		switch {
		case (o.from == "") == (o.fromDistribution == ""):
			return usageError{errors.New("import: name a folder or a tar file with --from, or the data of a registry with --from-distribution")}
		case o.jobs < 1:
			return usageError{fmt.Errorf("--jobs: %d is too few; write 1 or more", o.jobs)}
		}
		return importAll(cmd, cfg, o)
	})
}

func importAll(cmd *cobra.Command, cfg config, o importOptions) error {
	ctx, stop := interruptible(cmd)
	defer stop()
	cfg.Offline, cfg.RecordUse = true, false
	core, store, err := cfg.openCore(ctx)
	if err != nil {
		return err
	}
	defer closeSoon(ctx, core)
	importer, err := cfg.openImporter(ctx, o, archive.ImportConfig{
		Mirror: core, Store: store, Realm: layout.Public, Jobs: o.jobs,
		Parse: func(name string) (mirror.Repository, mirror.Reference, error) { return parseImage(core, name) },
	})
	if err != nil {
		err = fmt.Errorf("import: %w", err)
		if errors.Is(err, archive.ErrNotLayout) || errors.Is(err, archive.ErrNotDistribution) || errors.Is(err, fs.ErrNotExist) {
			return usageError{err}
		}
		return err
	}
	defer importer.Close()
	entries := map[string]archive.Entry{}
	var images []string
	for _, e := range importer.Entries() {
		name := cmp.Or(e.Name, e.Digest.String())
		images = append(images, name)
		entries[name] = e
	}
	report, failed := moveImages(ctx, cmd, unique(images), "import", func(image string, p warm.Progress) (moved, error) {
		e := entries[image]
		i, err := importer.Image(ctx, e, p)
		return moved{Digest: e.Digest, Bytes: i.Bytes, New: i.Stored}, err
	})
	if ctx.Err() != nil {
		return errInterrupted
	}
	return errors.Join(printMoved(cmd.OutOrStdout(), *o.output, report, "stored", "cached"), failed)
}

// openImporter opens what the flags name.
func (c config) openImporter(ctx context.Context, o importOptions, i archive.ImportConfig) (*archive.Importer, error) {
	if o.from != "" {
		return archive.OpenImporter(ctx, o.from, i)
	}
	registry := cmp.Or(o.registry, c.Upstreams[0].name)
	if err := c.Store.UnmarshalText([]byte(o.fromDistribution)); err != nil {
		return nil, usageError{fmt.Errorf("--from-distribution: %w", err)}
	}
	if c.Store.isFolder() {
		return archive.OpenDistribution(ctx, c.Store.path, registry, i)
	}
	store, err := c.openStore(ctx, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, err
	}
	return archive.OpenDistributionStore(ctx, store, registry, i)
}
