package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/opencontainers/go-digest"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/entrepot-io/entrepot/mirror"
	"github.com/entrepot-io/entrepot/mirror/warm"
)

// closeTimeout limits how long an interrupted command waits for its transfers to end. Their state stays in the bucket, and the
// next request continues them.
const closeTimeout = 800 * time.Millisecond

// warmOptions are the flags of warm.
type warmOptions struct {
	files        []string
	platforms    []string
	allPlatforms bool
	referrers    bool
	jobs         int
	output       *outputFormat
}

// warmCommand returns the command that lands images before they are needed.
func warmCommand() *cobra.Command {
	var o warmOptions
	cmd := &cobra.Command{
		Use:   "warm IMAGE...",
		Short: "Land images before they are needed",
		Long: "Land images in the cache before they are needed. Cached images are skipped.\n\n" +
			"IMAGE is [REGISTRY/]REPOSITORY[:TAG][@DIGEST]; without a registry, the first upstream. A file given with -f (- for standard input) lists " +
			"images, one per line, or contains YAML documents such as Kubernetes manifests, Compose files and Helm's output: each string under a key " +
			"image counts.",
		Example: "  entrepot warm docker.io/library/alpine:3.22 ghcr.io/org/app:1 --platform linux/amd64,linux/arm64\n" +
			"  helm template ./chart | entrepot warm -f - --referrers",
	}
	flags := cmd.Flags()
	flags.StringArrayVarP(&o.files, "file", "f", nil, "`FILE` with images; may be repeated")
	flags.StringSliceVar(&o.platforms, "platform", []string{"linux/" + runtime.GOARCH}, "platforms to land, of images for several; default: linux on this machine's architecture")
	flags.Lookup("platform").DefValue = ""
	flags.BoolVar(&o.allPlatforms, "all-platforms", false, "land all platforms")
	flags.BoolVar(&o.referrers, "referrers", false, "also land signatures, attestations and SBOMs")
	flags.IntVarP(&o.jobs, "jobs", "j", 4, "images at a time")
	o.output = addOutputFlag(cmd)
	return operator(cmd, func(cmd *cobra.Command, cfg config, args []string) error {
		images, platforms, err := o.read(args, cmd.InOrStdin())
		if err != nil {
			return err
		}
		return warmAll(cmd, cfg, o, images, platforms)
	})
}

// read returns the images and the platforms, nil for all.
func (o warmOptions) read(args []string, stdin io.Reader) (images []string, platforms []v1.Platform, err error) {
	images = args
	for _, file := range o.files {
		listed, err := readImageList(file, stdin)
		if err != nil {
			return nil, nil, err
		}
		images = append(images, listed...)
	}
	if images = unique(images); len(images) == 0 && len(o.files) == 0 {
		return nil, nil, usageError{errors.New("name an image, for example docker.io/library/alpine:3.22, or a file with -f")}
	}
	if o.jobs < 1 {
		return nil, nil, usageError{fmt.Errorf("--jobs: %d is too few; write 1 or more", o.jobs)}
	}
	if o.allPlatforms {
		return images, nil, nil
	}
	for _, text := range o.platforms {
		p, err := v1.ParsePlatform(text)
		if err != nil || p.OS == "" || p.Architecture == "" {
			return nil, nil, usageError{fmt.Errorf("--platform: %q is not a platform; write for example linux/amd64", text)}
		}
		platforms = append(platforms, *p)
	}
	return images, platforms, nil
}

// warmed is the JSON form of one image's result.
type warmed struct {
	Image  string        `json:"image"`
	Digest digest.Digest `json:"digest"`
	Bytes  int64         `json:"bytes"`
	Landed int64         `json:"landed"`
	Error  string        `json:"error"`
}

// warmReport is the JSON form of the results.
type warmReport struct {
	Images  []warmed `json:"images"`
	Bytes   int64    `json:"bytes"`
	Landed  int64    `json:"landed"`
	Seconds float64  `json:"seconds"`
}

func warmAll(cmd *cobra.Command, cfg config, o warmOptions, images []string, platforms []v1.Platform) error {
	ctx, stop := interruptible(cmd)
	defer stop()
	cfg.RecordUse = false // nobody has used these images yet
	log := slog.New(slog.DiscardHandler)
	if err := cfg.readSecrets(ctx, log); err != nil {
		return err
	}
	_, core, err := build(ctx, cfg, log, prometheus.NewRegistry())
	if err != nil {
		return err
	}
	defer closeSoon(ctx, core)
	warmer := warm.New(warm.Config{Mirror: core, Platforms: platforms, Referrers: o.referrers, Blobs: int64(cfg.UpstreamConnections)})

	began := time.Now()
	shown := startTransfers(cmd.ErrOrStderr(), len(images))
	results := make([]warmed, len(images))
	var group errgroup.Group
	group.SetLimit(o.jobs)
	for i, image := range images {
		group.Go(func() error {
			results[i] = warmOne(ctx, warmer, shown, image)
			return nil
		})
	}
	_ = group.Wait() // each result has its error
	shown.stop()
	report := warmReport{Images: results, Seconds: time.Since(began).Seconds()}
	var failed error
	for _, r := range results {
		report.Bytes += r.Bytes
		report.Landed += r.Landed
		if r.Error != "" {
			failed = errors.Join(failed, fmt.Errorf("warm %s: %s", r.Image, r.Error))
		}
	}
	return errors.Join(printWarmed(cmd.OutOrStdout(), *o.output, report), failed)
}

// warmOne lands an image.
func warmOne(ctx context.Context, w *warm.Warmer, shown *transfers, image string) warmed {
	result := warmed{Image: image}
	progress := shown.begin(image)
	landed, err := func() (warm.Result, error) {
		if ctx.Err() != nil {
			return warm.Result{}, errors.New("interrupted")
		}
		repo, ref, err := parseImage(w.Mirror, image)
		if err != nil {
			return warm.Result{}, err
		}
		landed, err := w.Image(ctx, repo, ref, progress)
		if err != nil && ctx.Err() != nil {
			err = errors.New("interrupted")
		}
		return landed, err
	}()
	progress.end(err != nil)
	result.Digest, result.Bytes, result.Landed = landed.Digest, landed.Bytes, landed.Landed
	if err != nil {
		result.Error = strings.ReplaceAll(err.Error(), "\n", "; ")
	}
	return result
}

// closeSoon closes the mirror, and waits briefly at most if ctx has ended.
func closeSoon(ctx context.Context, core *mirror.Mirror) {
	closed := make(chan struct{})
	go func() {
		core.Close()
		close(closed)
	}()
	if ctx.Err() == nil {
		<-closed
		return
	}
	select {
	case <-closed:
	case <-time.After(closeTimeout):
	}
}

func printWarmed(w io.Writer, format outputFormat, report warmReport) error {
	if format == "json" {
		return printJSON(w, report)
	}
	for _, r := range report.Images {
		if r.Error != "" {
			continue
		}
		landed := "cached"
		if r.Landed > 0 {
			landed = byteSize(r.Landed).String() + " landed"
		}
		if _, err := fmt.Fprintf(w, "%s %s %v, %s\n", r.Image, r.Digest, byteSize(r.Bytes), landed); err != nil {
			return err
		}
	}
	return nil
}
