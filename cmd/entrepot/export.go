package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/opencontainers/go-digest"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"

	"github.com/entrepot-io/entrepot/backend"
	"github.com/entrepot-io/entrepot/mirror"
	"github.com/entrepot-io/entrepot/mirror/archive"
	"github.com/entrepot-io/entrepot/mirror/warm"
)

// exportOptions are the flags of export.
type exportOptions struct {
	to           string
	files        []string
	platforms    []string
	allPlatforms bool
	referrers    bool
	output       *outputFormat
}

// exportCommand returns the command that writes images to an OCI image layout.
func exportCommand() *cobra.Command {
	var o exportOptions
	cmd := &cobra.Command{
		Use:   "export IMAGE...",
		Short: "Write images to a folder or tar file, for sites without network",
		Long: "Write images to an OCI image layout, a folder or a tar file: their manifests, layers, signatures and other referrers. What is not cached is " +
			"fetched and cached first, unless ENTREPOT_OFFLINE is set. Each digest is verified. entrepot import, crane, skopeo and oras read the layout; oras finds images in it by digest.\n\n" +
			"IMAGE is [REGISTRY/]REPOSITORY[:TAG][@DIGEST]; without a registry, the first upstream. A file given with -f lists images, as for warm. " +
			"Of an image for several platforms, export writes the platforms that are cached, or all if none is. A folder that has a layout keeps its other images; " +
			"a file is replaced. If export is interrupted, a folder keeps the blobs that are complete, and the next run skips them.",
		Example: "  entrepot export docker.io/library/alpine:3.22 ghcr.io/org/app:1 --to images.tar --platform linux/amd64,linux/arm64\n" +
			"  entrepot export -f images.txt --to /media/usb/images --all-platforms",
	}
	flags := cmd.Flags()
	flags.StringVar(&o.to, "to", "", "`PATH` of a folder, or of a file that ends in .tar (required)")
	flags.StringArrayVarP(&o.files, "file", "f", nil, "`FILE` with images; may be repeated")
	flags.StringSliceVar(&o.platforms, "platform", nil, "platforms to write, of images for several; default: those that are cached")
	flags.Lookup("platform").DefValue = ""
	flags.BoolVar(&o.allPlatforms, "all-platforms", false, "write all platforms")
	flags.BoolVar(&o.referrers, "referrers", true, "also write signatures, attestations and SBOMs")
	o.output = addOutputFlag(cmd)
	return operator(cmd, func(cmd *cobra.Command, cfg config, args []string) error {
		if o.to == "" {
			return usageError{errors.New("export: name a folder or a file that ends in .tar with --to")}
		}
		images, platforms, err := warmOptions{files: o.files, platforms: o.platforms, allPlatforms: o.allPlatforms, jobs: 1}.read(args, cmd.InOrStdin())
		if err != nil {
			return err
		}
		return exportAll(cmd, cfg, o, images, platforms)
	})
}

// moved is the JSON form of one image that was exported or imported.
type moved struct {
	Image  string        `json:"image"`
	Digest digest.Digest `json:"digest"`
	Bytes  int64         `json:"bytes"`
	New    int64         `json:"new"`
	Error  string        `json:"error"`
}

// moveReport is the JSON form of the results.
type moveReport struct {
	Images  []moved `json:"images"`
	Bytes   int64   `json:"bytes"`
	New     int64   `json:"new"`
	Seconds float64 `json:"seconds"`
}

func exportAll(cmd *cobra.Command, cfg config, o exportOptions, images []string, platforms []v1.Platform) (err error) {
	ctx, stop := interruptible(cmd)
	defer stop()
	cfg.RecordUse = false // nobody has used these images
	core, _, err := cfg.openCore(ctx)
	if err != nil {
		return err
	}
	defer closeSoon(ctx, core)
	exporter, err := archive.NewExporter(o.to, warm.Config{
		Mirror: core, Platforms: platforms, Referrers: o.referrers, Blobs: int64(cfg.UpstreamConnections), Cached: !o.allPlatforms,
	})
	if err != nil {
		return fmt.Errorf("export to %s: %w", o.to, err)
	}
	defer exporter.Close()
	report, failed := moveImages(ctx, cmd, images, "export", func(image string, p warm.Progress) (moved, error) {
		repo, ref, err := parseImage(core, image)
		if err != nil {
			return moved{}, err
		}
		e, err := exporter.Image(ctx, repo, ref, p)
		return moved{Digest: e.Digest, Bytes: e.Bytes, New: e.Written}, err
	})
	if ctx.Err() != nil {
		return errors.New("interrupted; nothing was exported, and a folder keeps complete blobs for the next run")
	}
	if err := exporter.Finish(); err != nil {
		return errors.Join(failed, fmt.Errorf("export to %s: %w", o.to, err))
	}
	return errors.Join(printMoved(cmd.OutOrStdout(), *o.output, report, "written", "there already"), failed)
}

// openCore returns a mirror and its store for a command that logs nothing.
func (c config) openCore(ctx context.Context) (*mirror.Mirror, backend.Store, error) {
	log := slog.New(slog.DiscardHandler)
	if err := c.readSecrets(ctx, log); err != nil {
		return nil, nil, err
	}
	store, core, err := build(ctx, c, log, prometheus.NewRegistry())
	return core, store, err
}

// moveImages moves images one after the other and shows their progress. Each error is in the report, and all are returned.
func moveImages(ctx context.Context, cmd *cobra.Command, images []string, verb string, move func(image string, p warm.Progress) (moved, error)) (moveReport, error) {
	began := time.Now()
	shown := startTransfers(cmd.ErrOrStderr(), len(images))
	report := moveReport{Images: []moved{}}
	var failed error
	for _, image := range images {
		if ctx.Err() != nil {
			break
		}
		progress := shown.begin(image)
		result, err := move(image, progress)
		progress.end(err != nil)
		result.Image = image
		if err != nil {
			result.Error = strings.ReplaceAll(err.Error(), "\n", "; ")
			failed = errors.Join(failed, fmt.Errorf("%s %s: %s", verb, image, result.Error))
		}
		report.Images = append(report.Images, result)
		report.Bytes += result.Bytes
		report.New += result.New
	}
	shown.stop()
	report.Seconds = time.Since(began).Seconds()
	return report, failed
}

func printMoved(w io.Writer, format outputFormat, report moveReport, done, before string) error {
	if format == "json" {
		return printJSON(w, report)
	}
	for _, r := range report.Images {
		if r.Error != "" {
			continue
		}
		how := before
		if r.New > 0 {
			how = byteSize(r.New).String() + " " + done
		}
		if _, err := fmt.Fprintf(w, "%s %s %v, %s\n", r.Image, r.Digest, byteSize(r.Bytes), how); err != nil {
			return err
		}
	}
	return nil
}
