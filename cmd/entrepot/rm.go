package main

import (
	"errors"
	"fmt"

	"github.com/opencontainers/go-digest"
	"github.com/spf13/cobra"

	"github.com/entrepot-io/entrepot/mirror/gc"
	"github.com/entrepot-io/entrepot/mirror/inventory"
)

// rmCommand returns the command that removes images.
func rmCommand() *cobra.Command {
	var steps stepOptions
	cmd := &cobra.Command{
		Use:   "rm IMAGE|DIGEST|PATTERN...",
		Short: "Remove images",
		Long: "Remove images from the cache, with what only they need. Their tags go at once. The rest is marked, and deleted by gc after the grace period, " +
			"or at once after it with --wait, unless it was used meanwhile.\n\n" +
			"IMAGE is REGISTRY/REPOSITORY:TAG, PATTERN the same or REGISTRY/REPOSITORY, with * for any characters. DIGEST is that of an image, with or " +
			"without a tag; what an image needs cannot be removed alone.",
		Example: "  entrepot rm docker.io/library/alpine:3.19\n  entrepot rm 'ghcr.io/org/*' --wait --grace 10m",
	}
	steps.add(cmd)
	format := addOutputFlag(cmd)
	return operator(cmd, func(cmd *cobra.Command, cfg config, args []string) error {
		if len(args) == 0 {
			return usageError{errors.New("rm: name an image, a digest or a pattern, for example docker.io/library/alpine:3.19")}
		}
		selection := newSelection(args)
		if err := cfg.collect(cmd, gc.Config{Remove: selection.selects}, steps, *format); err != nil {
			return err
		}
		return selection.unmatched()
	})
}

// selection selects images by names, digests and patterns.
type selection struct {
	arguments []string
	patterns  []inventory.Pattern
	matched   []bool
}

func newSelection(arguments []string) *selection {
	s := &selection{arguments: arguments, matched: make([]bool, len(arguments))}
	for _, text := range arguments {
		s.patterns = append(s.patterns, inventory.ParsePattern(text))
	}
	return s
}

// selects reports whether an argument selects an image.
func (s *selection) selects(i inventory.Image) (selected bool) {
	for n, pattern := range s.patterns {
		if pattern.Selects(i) {
			s.matched[n], selected = true, true
		}
	}
	return selected
}

// unmatched returns an error for each argument that selected nothing.
func (s *selection) unmatched() (err error) {
	for n, text := range s.arguments {
		switch {
		case s.matched[n]:
		case digest.Digest(text).Validate() == nil:
			err = errors.Join(err, fmt.Errorf("rm %s: no such image in the cache; what an image needs goes with the image", text))
		default:
			err = errors.Join(err, fmt.Errorf("rm %s: no such image in the cache", text))
		}
	}
	return err
}
