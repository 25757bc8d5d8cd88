package main

import (
	"io/fs"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/entrepot-io/entrepot/infra/testenv"
)

var (
	codeBlock    = regexp.MustCompile("(?ms)^ *```.*?^ *```")
	codeSpan     = regexp.MustCompile("`[^`\n]*`")
	markdownLink = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading      = regexp.MustCompile(`(?m)^#+ +(.+)$`)
	notInAnchor  = regexp.MustCompile(`[^\p{L}\p{N}_\- ]`)
)

// TestLinksWork checks that each link of a Markdown page to this repository leads to a file, and to a heading if it
// names one.
func TestLinksWork(t *testing.T) {
	root := os.DirFS(testenv.Root())
	for _, file := range markdownPages(t, root) {
		for _, link := range links(page(t, file)) {
			target, err := url.Parse(link)
			if err != nil {
				t.Errorf("%s: %v", file, err)
				continue
			}
			if target.IsAbs() {
				continue
			}
			to := file
			if target.Path != "" {
				to = path.Join(path.Dir(file), target.Path)
			}
			if _, err := fs.Stat(root, to); err != nil {
				t.Errorf("%s: link to %s: %v", file, link, err)
				continue
			}
			if target.Fragment != "" && !anchors(page(t, to))[target.Fragment] {
				t.Errorf("%s: link to %s: no such heading", file, link)
			}
		}
	}
}

func TestDocsIndexLinksEveryPage(t *testing.T) {
	linked := map[string]bool{}
	for _, link := range links(page(t, "docs/README.md")) {
		linked[path.Join("docs", link)] = true
	}
	for _, file := range markdownPages(t, os.DirFS(testenv.Root())) {
		switch dir := path.Dir(file); {
		case file == "docs/README.md" || dir != "docs" && dir != "docs/deploy":
		case !linked[file]:
			t.Errorf("docs/README.md does not link to %s", file)
		}
	}
}

// markdownPages returns the paths of all Markdown pages, without hidden folders such as .tools.
func markdownPages(t *testing.T, root fs.FS) (pages []string) {
	t.Helper()
	err := fs.WalkDir(root, ".", func(file string, entry fs.DirEntry, err error) error {
		switch hidden := strings.HasPrefix(entry.Name(), ".") && file != "."; {
		case err != nil:
			return err
		case entry.IsDir() && (hidden || entry.Name() == "testdata"):
			return fs.SkipDir
		case filepath.Ext(file) == ".md":
			pages = append(pages, file)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return pages
}

// links returns the targets of the links in a page.
func links(page string) (targets []string) {
	page = codeSpan.ReplaceAllString(codeBlock.ReplaceAllString(page, ""), "")
	for _, match := range markdownLink.FindAllStringSubmatch(page, -1) {
		targets = append(targets, match[1])
	}
	return targets
}

// anchors returns the anchors of a page's headings, as GitHub makes them.
func anchors(page string) map[string]bool {
	all := map[string]bool{}
	for _, match := range heading.FindAllStringSubmatch(codeBlock.ReplaceAllString(page, ""), -1) {
		text := notInAnchor.ReplaceAllString(strings.ToLower(strings.TrimSpace(match[1])), "")
		all[strings.ReplaceAll(text, " ", "-")] = true
	}
	return all
}
