package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/entrepot-io/entrepot/doctor"
)

// checkReport is the JSON form of the results of checks.
type checkReport struct {
	Checks   []doctor.Finding `json:"checks"`
	Broken   int              `json:"broken"`
	Warnings int              `json:"warnings"`
}

// printFindings prints the results of checks. Its error names everything that is broken, one per line.
func printFindings(w io.Writer, format outputFormat, findings []doctor.Finding) error {
	report := checkReport{Checks: findings}
	var broken error
	for _, f := range findings {
		switch f.Result {
		case doctor.Broken:
			report.Broken++
			broken = errors.Join(broken, fmt.Errorf("%s: %s: %s", f.Subject, f.Check, f.Detail))
		case doctor.Warning:
			report.Warnings++
		}
	}
	var err error
	if format == "json" {
		err = printJSON(w, report)
	} else {
		_, err = io.WriteString(w, findingsText(report))
	}
	return errors.Join(err, broken)
}

// findingsText formats the results for people, by subject.
func findingsText(report checkReport) string {
	width := 0
	for _, f := range report.Checks {
		width = max(width, len(f.Check))
	}
	var text strings.Builder
	subject := ""
	for _, f := range report.Checks {
		if f.Subject != subject {
			if subject != "" {
				text.WriteString("\n")
			}
			subject = f.Subject
			fmt.Fprintln(&text, subject)
		}
		fmt.Fprintf(&text, "  %-7s  %-*s  %s\n", f.Result, width, f.Check, f.Detail)
		for _, more := range [][2]string{{"consequence", f.Consequence}, {"remedy", f.Remedy}} {
			if more[1] != "" {
				fmt.Fprintf(&text, "           %s: %s\n", more[0], more[1])
			}
		}
	}
	fmt.Fprintf(&text, "\n%d checks, %d broken, %d with warnings\n", len(report.Checks), report.Broken, report.Warnings)
	return text.String()
}
