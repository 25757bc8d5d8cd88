package main

import "github.com/spf13/cobra"

// configCommand returns the command that prints the tables of settings. docs/configuration.md has the same tables, and a test
// compares them.
func configCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "config",
		Short: "Print all settings with their defaults, as Markdown tables",
		Args:  noArgs,
		Run:   func(cmd *cobra.Command, _ []string) { writeSettings(cmd.OutOrStdout()) },
	}
}
