// Command entrepot is a pull-through mirror for container registries that keeps all its state in an S3-compatible
// bucket.
package main

import (
	"errors"
	"fmt"
	"os"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// version is set by the release build. Other builds use the version in the module's build information.
var version = ""

// usageError is a mistake in the command line or the settings. The exit code is 2.
type usageError struct{ error }

func main() {
	root := rootCommand()
	if len(os.Args) == 1 && os.Getenv(runtimeAPI) != "" {
		root.SetArgs([]string{"serve"}) // Lambda starts a file named bootstrap, without arguments
	}
	err := root.Execute()
	if err == nil {
		return
	}
	fmt.Fprintln(os.Stderr, "entrepot:", err)
	reportInitError(err)
	if usage := new(usageError); errors.As(err, usage) {
		os.Exit(2)
	}
	os.Exit(1)
}

func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:           "entrepot",
		Short:         "A pull-through mirror for container registries that keeps its state in a bucket",
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.AddCommand(
		serveCommand(), refreshCommand(), warmCommand(), lsCommand(), duCommand(), gcCommand(), rmCommand(), resetCommand(), verifyCommand(),
		settingsCommand(), healthcheckCommand(), versionCommand(),
	)
	root.AddCommand(clientConfigCommand(), doctorCommand())
	root.AddCommand(exportCommand(), importCommand(), copyCommand())
	return root
}

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  noArgs,
		Run:   func(cmd *cobra.Command, _ []string) { fmt.Fprintln(cmd.OutOrStdout(), programVersion()) },
	}
}

func programVersion() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}

// configured adds all settings as flags to a command, and calls run with the resulting config.
func configured(cmd *cobra.Command, run func(cmd *cobra.Command, cfg config, args []string) error) *cobra.Command {
	addFlags(cmd.Flags())
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		cfg, err := loadConfig(os.Environ(), cmd.Flags())
		if err != nil {
			return err
		}
		return run(cmd, cfg, args)
	}
	return cmd
}

// operator is configured for an operator's command: its help leaves out the settings, which are those of serve.
func operator(cmd *cobra.Command, run func(cmd *cobra.Command, cfg config, args []string) error) *cobra.Command {
	cmd.Long += "\n\nThe settings are those of serve, as ENTREPOT_ variables or as flags."
	configured(cmd, func(cmd *cobra.Command, cfg config, args []string) error {
		limitCommandMemory()
		return run(cmd, cfg, args)
	})
	for _, s := range settings() {
		cmd.Flags().Lookup(s.Flag).Hidden = true
	}
	return cmd
}

func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usageError{fmt.Errorf("%s takes no arguments, only flags: %q", cmd.CommandPath(), args[0])}
	}
	return nil
}
