package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"unicode"

	"github.com/spf13/cobra"
)

// settingsCommand returns the command that prints the settings.
func settingsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "settings",
		Short: "Print the settings in force and where each comes from",
		Long: "Print the settings in force with their origins: default, platform (a default of the platform, such as Cloud Run), environment " +
			"or flag. Secrets are not printed. A variable that starts with ENTREPOT_ but is no setting is a warning.\n\n" +
			"--output markdown prints the tables of all settings in docs/configuration.md instead.\n\n" +
			"--from-distribution prints the settings that are equivalent to a configuration of distribution (the image named registry) and to " +
			"the REGISTRY_ variables in the environment, as a file of variables. Comments say what has no equivalent. The file may be - for " +
			"standard input. Passwords and keys are never printed.",
		Example: "  entrepot settings\n  entrepot settings --from-distribution /etc/distribution/config.yml > entrepot.env",
		Args:    noArgs,
	}
	format := settingsFormat("text")
	cmd.Flags().VarP(&format, "output", "o", "format of the results")
	file := cmd.Flags().String("from-distribution", "", "configuration `FILE` of distribution to translate")
	operator(cmd, func(cmd *cobra.Command, _ config, _ []string) error {
		return printSettings(cmd, format)
	})
	load := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		// Only the settings in force need to be valid.
		switch translates := cmd.Flags().Changed("from-distribution"); {
		case translates && format != "text":
			return usageError{errors.New("--from-distribution prints a file of variables; leave out --output")}
		case translates:
			return translate(cmd, *file)
		case format == "markdown":
			writeSettings(cmd.OutOrStdout())
			return nil
		}
		return load(cmd, args)
	}
	return cmd
}

// settingsFormat is the value of --output.
type settingsFormat string

func (f *settingsFormat) String() string { return string(*f) }
func (f *settingsFormat) Type() string   { return "text|json|markdown" }

func (f *settingsFormat) Set(s string) error {
	switch s {
	case "text", "json", "markdown":
		*f = settingsFormat(s)
		return nil
	}
	return errors.New("write text, json or markdown")
}

// printSettings prints the settings in force, which are valid, and warns of unknown variables.
func printSettings(cmd *cobra.Command, format settingsFormat) error {
	texts, err := settingTexts(os.Environ(), cmd.Flags())
	if err != nil {
		return err
	}
	unknown := unknownVariables(os.Environ())
	for _, u := range unknown {
		warnUnknown(cmd.ErrOrStderr(), u)
	}
	if format == "json" {
		return printJSON(cmd.OutOrStdout(), map[string]any{"settings": texts.values(), "unknown": append([]unknownVariable{}, unknown...)})
	}
	rows := [][]string{{"VARIABLE", "VALUE", "ORIGIN"}}
	for _, v := range texts.values() {
		rows = append(rows, []string{v.Variable, orDash(oneLine(v.Value)), string(v.Origin)})
	}
	return printTable(cmd.OutOrStdout(), rows)
}

func warnUnknown(w io.Writer, u unknownVariable) {
	hint := ""
	if u.Nearest != "" {
		hint = "; did you mean " + u.Nearest + "?"
	}
	fmt.Fprintf(w, "warning: unknown setting %s%s\n", u.Variable, hint)
}

// oneLine quotes a text that would break a table.
func oneLine(s string) string {
	if strings.ContainsFunc(s, unicode.IsControl) {
		return strconv.Quote(s)
	}
	return s
}
