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

// refreshCommand returns the command with which an operator revalidates tags known to have moved.
func refreshCommand() *cobra.Command {
	return operator(&cobra.Command{
		Use:   "refresh IMAGE...",
		Short: "Revalidate tags now; all replicas serve the result within a minute",
		Long: "Revalidate tags now and record the result in the bucket. Replicas that have served a tag read its record again " +
			"within a minute.\n\nIMAGE is REGISTRY/REPOSITORY:TAG; without a registry, the first upstream.",
		Example: "  entrepot refresh docker.io/library/alpine:3.22\n  entrepot refresh ghcr.io/org/app:latest ghcr.io/org/web:latest",
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

// refresh revalidates the images and prints the digest of each. If one fails it continues with the next, and returns all
// errors.
func refresh(ctx context.Context, cfg config, images []string, out io.Writer) error {
	cfg.RecordUse = false
	log := slog.New(slog.DiscardHandler)
	if err := cfg.readSecrets(ctx, log); err != nil {
		return err
	}
	_, core, err := build(ctx, cfg, log, prometheus.NewRegistry())
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

// refreshOne revalidates the tag of an image and returns its full name and digest.
func refreshOne(ctx context.Context, core *mirror.Mirror, image string) (name, digest string, err error) {
	repo, ref, err := parseImage(core, image)
	if err != nil {
		return "", "", usageError{fmt.Errorf("refresh %s: %w", image, err)}
	}
	if ref.Tag() == "" {
		return "", "", usageError{fmt.Errorf("refresh %s: not an image with a tag; digests never change", image)}
	}
	answer, err := core.Revalidate(ctx, repo, ref)
	if err == nil {
		err = answer.Stale
	}
	if err == nil && answer.Unstored != nil {
		err = fmt.Errorf("store record of %s for other replicas: %w", answer.Digest, answer.Unstored)
	}
	if err != nil {
		return "", "", fmt.Errorf("refresh %s: %w", image, err)
	}
	return repo.String() + ":" + ref.Tag(), answer.Digest.String(), nil
}

// parseImage reads [REGISTRY/]REPOSITORY[:TAG][@DIGEST]. A missing registry is the first upstream, a missing tag latest. A digest
// overrides a tag.
func parseImage(core *mirror.Mirror, image string) (repo mirror.Repository, ref mirror.Reference, err error) {
	path, reference := image, "latest"
	if name, digest, hasDigest := strings.Cut(image, "@"); hasDigest {
		path, reference = name, digest
	}
	if at := strings.LastIndex(path, ":"); at > strings.LastIndex(path, "/") {
		if path == image {
			reference = path[at+1:]
		}
		path = path[:at]
	}
	if repo, err = core.Choose("", path); err != nil {
		return repo, ref, err
	}
	ref, err = mirror.ParseReference(reference)
	return repo, ref, err
}
