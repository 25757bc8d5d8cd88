package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/entrepot-io/entrepot/cmd/entrepot/internal/distribution"
)

// translate prints the settings that are equivalent to a configuration of distribution. If one of them is not valid, it
// prints them all and returns the error.
func translate(cmd *cobra.Command, file string) error {
	text, err := readFileOr(file, cmd.InOrStdin())
	if err != nil {
		return usageError{fmt.Errorf("--from-distribution: %w", err)}
	}
	equivalent, err := distribution.Translate(text, os.Environ())
	if err != nil {
		return usageError{fmt.Errorf("--from-distribution %s: %w", file, err)}
	}
	if err := equivalent.Write(cmd.OutOrStdout()); err != nil {
		return err
	}
	_, err = loadConfig(equivalent.Environ(), pflag.NewFlagSet("", pflag.ContinueOnError))
	return err
}
