package testenv

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "update the generated parts of the documentation")

// Page fails the test unless the documentation page has the text want between the lines
//
//	<!-- PART: made by `make docs` -->
//	<!-- /PART -->
//
// With -update it writes the text there instead. page is a path relative to the repository's root.
func Page(t testing.TB, page, part, want string) {
	t.Helper()
	path := filepath.Join(Root(), page)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	begin, end := "<!-- "+part+": made by `make docs` -->\n", "<!-- /"+part+" -->"
	before, rest, found := strings.Cut(string(whole), begin)
	if !found {
		t.Fatalf("%s: missing line %q", page, begin)
	}
	got, after, found := strings.Cut(rest, end)
	if !found {
		t.Fatalf("%s: missing line %q", page, end)
	}
	if *update {
		if err := os.WriteFile(path, []byte(before+begin+want+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if got != want {
		t.Errorf("%s: part %q is outdated, run make docs. Got:\n%s\nwant:\n%s", page, part, got, want)
	}
}

// Snippet returns the first code block after a line of a documentation page. page is a path relative to the repository's root.
func Snippet(t testing.TB, page, line string) string {
	t.Helper()
	whole, err := os.ReadFile(filepath.Join(Root(), page))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(whole), "\n"+line+"\n")
	_, rest, begun := strings.Cut(rest, "\n```")
	_, rest, _ = strings.Cut(rest, "\n") // the language
	snippet, _, ended := strings.Cut(rest, "```\n")
	if !found || !begun || !ended {
		t.Fatalf("%s has no code block after the line %q", page, line)
	}
	return snippet
}

// Table returns a Markdown table. The first row is the header; a trailing colon in a header right-aligns its column.
func Table(rows ...[]string) string {
	var table strings.Builder
	write := func(cells []string) { table.WriteString("| " + strings.Join(cells, " | ") + " |\n") }
	var head, rule []string
	for _, cell := range rows[0] {
		name, number := strings.CutSuffix(cell, ":")
		head, rule = append(head, name), append(rule, map[bool]string{false: "---", true: "---:"}[number])
	}
	write(head)
	write(rule)
	for _, row := range rows[1:] {
		write(row)
	}
	return table.String()
}
