package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/entrepot-io/entrepot/infra/testenv"
)

// page returns the text of a documentation page. path is relative to the repository's root.
func page(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(testenv.Root(), path))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestREADMEIsShort(t *testing.T) {
	const limit = 1100
	if words := len(strings.Fields(page(t, "README.md"))); words > limit {
		t.Errorf("README.md has %d words, more than %d; move details to docs/", words, limit)
	}
}

// The tests with real clients use the configurations in docs/clients.md.
func TestREADMEConfiguresClientsLikeClientsPage(t *testing.T) {
	_, part, _ := strings.Cut(page(t, "README.md"), "\n## Clients\n")
	part, _, _ = strings.Cut(part, "\n## ")
	clients := page(t, "docs/clients.md")
	blocks := strings.Split(part, "```")
	if len(blocks) < 3 {
		t.Fatal("README.md configures no client")
	}
	for i := 1; i < len(blocks); i += 2 {
		if !strings.Contains(clients, "```"+blocks[i]+"```") {
			t.Errorf("docs/clients.md does not have this block of README.md:\n%s", blocks[i])
		}
	}
}
