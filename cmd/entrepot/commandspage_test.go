package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/stretchr/testify/assert"

	"github.com/entrepot-io/entrepot/infra/testenv"
)

// operatorCommands returns the commands that an operator runs, in order of their names.
func operatorCommands() (commands []*cobra.Command) {
	for _, c := range rootCommand().Commands() {
		if c.Example != "" {
			commands = append(commands, c)
		}
	}
	return commands
}

func TestCommandsPage(t *testing.T) {
	var page strings.Builder
	for i, c := range operatorCommands() {
		if i > 0 {
			page.WriteString("\n")
		}
		fmt.Fprintf(&page, "## %s\n\n%s\n\n```\n%s\n```\n", c.Name(), c.Long, c.UseLine())
		var flags [][]string
		c.LocalFlags().VisitAll(func(f *pflag.Flag) {
			if !f.Hidden && f.Name != "help" {
				kind, usage := pflag.UnquoteUsage(f)
				name := strings.TrimSpace("--" + f.Name + " " + kind)
				flags = append(flags, []string{"`" + strings.ReplaceAll(name, "|", `\|`) + "`", code(f.DefValue), usage})
			}
		})
		if len(flags) > 0 {
			page.WriteString("\n" + testenv.Table(append([][]string{{"flag", "default", "meaning"}}, flags...)...))
		}
		fmt.Fprintf(&page, "\n```sh\n%s\n```\n", strings.ReplaceAll(strings.TrimSpace(c.Example), "\n  ", "\n"))
	}
	testenv.Page(t, "docs/commands.md", "commands", page.String())
}

func TestEachCommandHasTwoExamples(t *testing.T) {
	for _, c := range operatorCommands() {
		assert.Equal(t, 2, strings.Count(c.Example, "entrepot "+c.Name()), c.Name())
	}
}
