package main_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/infra/testenv"
)

var (
	namedTest    = regexp.MustCompile("`(Test[A-Z]\\w*)`")
	declaredTest = regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	decision     = regexp.MustCompile(`(?m)^\d+\. `)
)

// TestDocsNameRealTests checks that each test that a page names exists.
func TestDocsNameRealTests(t *testing.T) {
	t.Parallel()
	pages, err := filepath.Glob(filepath.Join(testenv.Root(), "docs", "*.md"))
	require.NoError(t, err)
	exists := declaredTests(t)
	for _, page := range pages {
		text, err := os.ReadFile(page)
		require.NoError(t, err)
		for _, name := range namedTest.FindAllSubmatch(text, -1) {
			assert.True(t, exists[string(name[1])], "%s names %s, which does not exist: was it renamed?", filepath.Base(page), name[1])
		}
	}
}

// TestEveryDecisionNamesATest checks that every decision in docs/request-handling.md names a test.
func TestEveryDecisionNamesATest(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(filepath.Join(testenv.Root(), "docs", "request-handling.md"))
	require.NoError(t, err)
	parts := decision.Split(string(page), -1)[1:]
	require.NotEmpty(t, parts)
	for i, part := range parts {
		assert.Regexp(t, namedTest, part, "decision %d of docs/request-handling.md names no test", i+1)
	}
}

// declaredTests returns the names of all tests in the repository.
func declaredTests(t *testing.T) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	err := filepath.WalkDir(testenv.Root(), func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && path != testenv.Root() && strings.HasPrefix(entry.Name(), "."): // .git and .tools
			return filepath.SkipDir
		case entry.IsDir() || !strings.HasSuffix(path, "_test.go"):
			return nil
		}
		source, err := os.ReadFile(path)
		for _, test := range declaredTest.FindAllSubmatch(source, -1) {
			names[string(test[1])] = true
		}
		return err
	})
	require.NoError(t, err)
	return names
}
