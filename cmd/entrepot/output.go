package main

import (
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
)

// outputFormat is the value of --output: text for people, json for programs.
type outputFormat string

func (f *outputFormat) String() string { return string(*f) }
func (f *outputFormat) Type() string   { return "text|json" }

func (f *outputFormat) Set(s string) error {
	switch s {
	case "text", "json":
		*f = outputFormat(s)
		return nil
	}
	return fmt.Errorf("%q is not a format; write text or json", s)
}

// addOutputFlag adds --output to a command that prints results.
func addOutputFlag(cmd *cobra.Command) *outputFormat {
	format := outputFormat("text")
	cmd.Flags().VarP(&format, "output", "o", "format of the results")
	return &format
}

// printJSON prints results as one indented JSON document.
func printJSON(w io.Writer, result any) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(result)
}

// printTable prints rows in aligned columns. The first row has the titles.
func printTable(w io.Writer, rows [][]string) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		for i, cell := range row {
			if i > 0 {
				fmt.Fprint(table, "\t")
			}
			fmt.Fprint(table, cell)
		}
		fmt.Fprintln(table)
	}
	return table.Flush()
}

// since formats the time since t for a table.
func since(t, now time.Time) string {
	if t.IsZero() {
		return "-"
	}
	switch age := now.Sub(t); {
	case age < time.Minute:
		return "now"
	case age < time.Hour:
		return fmt.Sprintf("%dm", age/time.Minute)
	case age < 48*time.Hour:
		return fmt.Sprintf("%dh", age/time.Hour)
	default:
		return fmt.Sprintf("%dd", age/(24*time.Hour))
	}
}
