package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"

	"github.com/entrepot-io/entrepot/mirror"
)

// refreshCommand is for an operator who knows that a tag has moved.
func refreshCommand() *cobra.Command {
	return configured(&cobra.Command{
		Use:   "refresh IMAGE...",
		Short: "Ask the upstream now what a tag names, for all replicas; they serve it within a minute",
		Long: "Ask the upstream now what a tag names, and record it in the bucket. A replica that has served the tag before " +
			"looks there at the latest a minute after it did so last.\n\nIMAGE is REGISTRY/REPOSITORY:TAG, or without the " +
			"registry for the first of the upstreams.",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usageError{errors.New("refresh: name an image, for example docker.io/library/alpine:3.22")}
			}
			return nil
		},
	}, func(cmd *cobra.Command, cfg config, images []string) error {
		return refresh(cmd.Context(), cfg, images, cmd.OutOrStdout())
	})
}

// refresh goes on to the next image where one fails, and returns all failures.
func refresh(ctx context.Context, cfg config, images []string, out io.Writer) error {
	cfg.RecordUse = false
	if err := cfg.readSecrets(ctx); err != nil {
		return err
	}
	_, core, err := build(ctx, cfg, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		return err
	}
	defer core.Close()
	var failed error
	for _, image := range images {
		name, digest, err := refreshOne(ctx, core, image)
		if err != nil {
			failed = errors.Join(failed, err)
			continue
		}
		fmt.Fprintln(out, name, digest)
	}
	return failed
}

func refreshOne(ctx context.Context, core *mirror.Mirror, image string) (name, digest string, err error) {
	path, tag := image, "latest"
	if at := strings.LastIndex(image, ":"); at > strings.LastIndex(image, "/") {
		path, tag = image[:at], image[at+1:]
	}
	repo, err := core.Choose("", path)
	if err != nil {
		return "", "", usageError{fmt.Errorf("refresh %s: %w", image, err)}
	}
	ref, err := mirror.ParseReference(tag)
	if _, isDigest := ref.Digest(); err != nil || isDigest || strings.Contains(path, "@") {
		return "", "", usageError{fmt.Errorf("refresh %s: not an image with a tag; a digest never changes", image)}
	}
	answer, err := core.Revalidate(ctx, repo, ref)
	if err == nil {
		err = answer.Stale
	}
	if err != nil {
		return "", "", fmt.Errorf("refresh %s: %w", image, err)
	}
	return repo.String() + ":" + tag, answer.Digest.String(), nil
}
