package clientconfig

import (
	"fmt"
	"io"
	"strings"
)

// Markdown returns a section for a page.
func (s Section) Markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "## %s\n", s.Title)
	s.paragraphs(&b, func(f File) { fmt.Fprintf(&b, "\n```%s\n%s```\n", f.language, f.Text) })
	return b.String()
}

// WriteText writes a section for a terminal. Each file's text stands unchanged between a line with its path and an empty line.
func (s Section) WriteText(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n", s.Title)
	s.paragraphs(&b, func(f File) { fmt.Fprintf(&b, "\n==> %s <==\n%s", f.Path, f.Text) })
	for i, n := range s.NotMirrored {
		if i == 0 {
			b.WriteString("\n")
		}
		fmt.Fprintf(&b, "Not mirrored: %s, since %s. Pull %s for %s/org/app.\n", n.Upstream, n.Reason, n.Instead, n.Upstream)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// paragraphs writes all texts of a section. file writes the text of a file.
func (s Section) paragraphs(b *strings.Builder, file func(File)) {
	if s.About != "" {
		fmt.Fprintf(b, "\n%s\n", s.About)
	}
	for _, f := range s.Files {
		fmt.Fprintf(b, "\n%s\n", f.Intro)
		file(f)
	}
	for _, note := range s.Notes {
		fmt.Fprintf(b, "\n%s\n", note)
	}
}
