// Package check_test tests the Terraform modules and examples without a cloud: with OpenTofu, tflint, terraform-docs and
// the schemas of the real providers.
//
// `make infra-check-terraform` fetches the tools and schemas and runs the tests.
package check_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/entrepot-io/entrepot/terraform/check/schema"
)

var (
	// checkout is the repository's root folder. mirror is a folder with the providers in the layout that OpenTofu expects.
	checkout, mirror string
	// rc is the path of OpenTofu's configuration.
	rc string
	// described has the enumerations in the schemas of the resources that the modules use. It complements enums.
	described = map[string][]string{}
)

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	_, file, _, _ := runtime.Caller(0)
	checkout = filepath.Join(filepath.Dir(file), "..", "..")
	folder, err := os.MkdirTemp("", "terraform-check-")
	if err == nil {
		defer os.RemoveAll(folder)
		err = setUp(folder)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// setUp creates the providers, each from command provider and a schema.
func setUp(folder string) error {
	mirror = filepath.Join(folder, "mirror")
	program := filepath.Join(folder, "provider")
	build := exec.Command("go", "build", "-o", program, "./provider")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build the provider: %w\n%s", err, out)
	}
	used, err := usedTypes()
	if err != nil {
		return err
	}
	for name, source := range map[string]string{"aws": "hashicorp/aws", "google": "hashicorp/google", "minio": "aminueza/minio"} {
		text, err := os.ReadFile(filepath.Join(checkout, ".tools", "terraform", name+".json"))
		if err != nil {
			return fmt.Errorf("%w: run make infra-check-terraform", err)
		}
		var known schema.Provider
		if err := json.Unmarshal(text, &known); err != nil {
			return err
		}
		// Keep only the resources in use: every OpenTofu command starts the provider and loads its schema.
		maps.DeleteFunc(known.Resources, func(name string, _ *schema.Block) bool { return !used[name] })
		maps.DeleteFunc(known.Data, func(name string, _ *schema.Block) bool { return !used[name] })
		for name, block := range known.Resources {
			listed(described, name, block)
		}
		if text, err = json.Marshal(known); err != nil {
			return err
		}
		to := filepath.Join(mirror, "registry.opentofu.org", source, known.Version, runtime.GOOS+"_"+runtime.GOARCH)
		err = errors.Join(
			os.MkdirAll(to, 0o755),
			os.Link(program, filepath.Join(to, "terraform-provider-"+name+"_v"+known.Version)),
			os.WriteFile(filepath.Join(to, "schema.json"), text, 0o644),
		)
		if err != nil {
			return err
		}
	}
	rc = filepath.Join(folder, "tofu.rc")
	return os.WriteFile(rc, fmt.Appendf(nil, "provider_installation {\n  filesystem_mirror {\n    path = %q\n  }\n}\n", mirror), 0o644)
}

var resource = regexp.MustCompile(`(?m)^(?:resource|data) "(\w+)"`)

// usedTypes returns the types of all resources and data sources in the .tf files, even if the providers lack them.
func usedTypes() (map[string]bool, error) {
	used := map[string]bool{}
	return used, filepath.WalkDir(filepath.Join(checkout, "terraform"), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".tf" {
			return err
		}
		text, err := os.ReadFile(path)
		for _, m := range resource.FindAllStringSubmatch(string(text), -1) {
			used[m[1]] = true
		}
		return err
	})
}

// tool runs a program from .tools/bin in a folder and returns its output without colors and frames.
func tool(t *testing.T, folder, name string, args ...string) (string, error) {
	t.Helper()
	path := filepath.Join(checkout, ".tools", "bin", name)
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("%v: run make infra-check-terraform", err)
	}
	cmd := exec.Command(path, args...)
	cmd.Dir = folder
	cmd.Env = append(os.Environ(), "TF_CLI_CONFIG_FILE="+rc, "CHECKPOINT_DISABLE=1")
	out, err := cmd.CombinedOutput()
	return decoration.ReplaceAllString(string(out), ""), err
}

// decoration matches colors and the frames that OpenTofu draws around messages.
var decoration = regexp.MustCompile("\x1b\\[[0-9;]*m|[╷│╵] ?")

// folders returns the folders of all modules and examples, relative to terraform/.
func folders(t *testing.T) []string {
	t.Helper()
	var all []string
	for _, pattern := range []string{"modules/*", "examples/*"} {
		found, err := filepath.Glob(filepath.Join(checkout, "terraform", pattern))
		if err != nil || len(found) == 0 {
			t.Fatalf("no %s: %v", pattern, err)
		}
		for _, path := range found {
			all = append(all, strings.TrimPrefix(path, filepath.Join(checkout, "terraform")+"/"))
		}
	}
	return all
}

// copied returns a copy of the modules and examples that checks and tests may modify.
func copied(t *testing.T) string {
	t.Helper()
	to := t.TempDir()
	for _, name := range []string{"modules", "examples"} {
		if err := os.CopyFS(filepath.Join(to, name), os.DirFS(filepath.Join(checkout, "terraform", name))); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{".tflint.hcl", ".terraform-docs.yml"} {
		text, err := os.ReadFile(filepath.Join(checkout, "terraform", name))
		if err == nil {
			err = os.WriteFile(filepath.Join(to, name), text, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return to
}
