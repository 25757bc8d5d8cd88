package main

import (
	"fmt"
	"io"
	"strings"
)

// writeSettings writes all settings in Markdown: a heading and a table for each group.
func writeSettings(w io.Writer) {
	group := ""
	for _, s := range settings() {
		if s.Group != group {
			group = s.Group
			fmt.Fprintf(w, "\n## %s\n\n", group)
			fmt.Fprintln(w, "| variable | flag | default | what it sets |")
			fmt.Fprintln(w, "| --- | --- | --- | --- |")
		}
		fmt.Fprintf(w, "| `%s` | `--%s` | %s | %s |\n", s.Variable, s.Flag, code(s.Default), strings.ReplaceAll(s.Doc, "|", `\|`))
	}
}

// code formats a default as Markdown code. Spaces after commas let long lists wrap.
func code(s string) string {
	if s == "" {
		return ""
	}
	return "`" + strings.ReplaceAll(s, ",", ", ") + "`"
}
