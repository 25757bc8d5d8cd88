package lint_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/entrepot-io/entrepot/infra/testenv"
)

const module = "github.com/entrepot-io/entrepot"

// lintImports creates a module in which each package in the keys of imports imports the package in the value. It returns the
// linter's output for the import rules.
func lintImports(t *testing.T, imports map[string]string) string {
	t.Helper()
	root := t.TempDir()
	write := func(path, text string) {
		file := filepath.Join(root, path)
		require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
		require.NoError(t, os.WriteFile(file, []byte(text), 0o644))
	}
	rules, err := os.ReadFile(filepath.Join(testenv.Root(), ".golangci.yml"))
	require.NoError(t, err)
	write(".golangci.yml", string(rules))
	write("go.mod", "module "+module+"\n")
	for from, to := range imports {
		write(filepath.Join(to, "doc.go"), "package it\n")
		write(filepath.Join(from, "wrong.go"), "package it\n\nimport _ \""+module+"/"+to+"\"\n")
	}
	cmd := exec.Command(testenv.Tool(t, "golangci-lint"), "run", "--enable-only", "depguard", "./...")
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "GOLANGCI_LINT_CACHE="+t.TempDir(), "GOFLAGS=-mod=mod", "GOWORK=off")
	out, err := cmd.CombinedOutput()
	if exit := new(exec.ExitError); err != nil {
		require.ErrorAs(t, err, &exit)
	}
	return string(out)
}

func TestWrongImportsAreFound(t *testing.T) {
	// No import cycles here: the linter skips code that does not compile.
	wrong := map[string]string{
		"backend":                "mirror/layout",
		"backend/fs":             "backend/s3",
		"backend/s3":             "upstream",
		"backend/internal/link":  "backend/minio",
		"bounded":                "backend",
		"upstream":               "backend",
		"presign":                "mirror",
		"mirror/layout":          "mirror/lease",
		"mirror/lease":           "mirror/ability",
		"mirror/ability":         "mirror/fill",
		"mirror/fill/budget":     "mirror/fill/growing",
		"mirror/fill/growing":    "mirror/fill/transfer",
		"mirror/fill/transfer":   "mirror/fill/landing",
		"mirror/fill/landing":    "mirror/fill",
		"mirror/fill":            "presign",
		"mirror":                 "handlers/awslambda",
		"mirror/archive":         "presign",
		"mirror/copying":         "mirror/warm",
		"mirror/intake":          "mirror/inventory",
		"handlers":               "backend",
		"handlers/awslambda":     "cmd/other",
		"cmd/entrepot":           "upstream/upstreamtest",
		"upstream/upstreamtest":  "mirror/fill",
		"backend/backendtest":    "handlers",
		"infra/testenv":          "cmd/other",
		"terraform/trial":        "backend",
		"mirror/fill/patient":    "upstream",
		"mirror/fill/failpoint":  "backend",
		"backend/internal/stall": "bounded",
		"backend/minio":          "presign",

		"cmd/entrepot/internal/distribution": "bounded",
		"cmd/entrepot/internal/unsent":       "handlers",
	}
	out := lintImports(t, wrong)
	for from, to := range wrong {
		require.Contains(t, out, from+"/wrong.go:3:8: import '"+module+"/"+to+"' is not allowed", out)
	}
}

func TestEveryPackageHasAnImportRule(t *testing.T) {
	list := exec.Command("go", "list", "-f", "{{.ImportPath}}", "./...")
	list.Dir = testenv.Root()
	packages, err := list.Output()
	require.NoError(t, err)
	imports := map[string]string{}
	for name := range strings.Lines(string(packages)) {
		imports[strings.TrimPrefix(strings.TrimSpace(name), module+"/")] = "unlisted"
	}
	out := lintImports(t, imports)
	for from := range imports {
		require.Contains(t, out, from+"/wrong.go:3:8: import '"+module+"/unlisted' is not allowed", "package without an import rule: add one to .golangci.yml")
	}
}
