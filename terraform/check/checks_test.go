package check_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A check returns an error if a folder below root is wrong. root is a copy of terraform/.
type check func(t *testing.T, root, folder string) error

var checks = map[string]check{
	"formatted":  formatted,
	"valid":      valid,
	"tests":      tests,
	"lint":       lint,
	"documented": documented,
}

func TestModulesAndExamples(t *testing.T) {
	for _, folder := range folders(t) {
		t.Run(folder, func(t *testing.T) {
			t.Parallel()
			root := copied(t)
			for name, check := range checks {
				if err := check(t, root, folder); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
		})
	}
}

// withOutput adds the output of a tool to its error.
func withOutput(out string, err error) error {
	if err != nil {
		return fmt.Errorf("%w:\n%s", err, strings.TrimSpace(out))
	}
	return nil
}

func formatted(t *testing.T, root, folder string) error {
	return withOutput(tool(t, filepath.Join(root, folder), "tofu", "fmt", "-check", "-diff", "-recursive"))
}

// valid checks the configuration against the providers' schemas: resources, arguments and blocks with their types and
// numbers, and all references, including those to modules.
func valid(t *testing.T, root, folder string) error {
	path := filepath.Join(root, folder)
	if out, err := tool(t, path, "tofu", "init", "-backend=false", "-input=false"); err != nil {
		return withOutput(out, err)
	}
	return withOutput(tool(t, path, "tofu", "validate"))
}

// tests runs the folder's tests with mocked providers. At least one must apply.
func tests(t *testing.T, root, folder string) error {
	states, out, err := applied(t, filepath.Join(root, folder))
	if err == nil && len(states) == 0 {
		err = fmt.Errorf("no test applies the configuration")
	}
	return withOutput(out, err)
}

// applied initializes a folder and returns its states.
func applied(t *testing.T, path string) (map[string]state, string, error) {
	t.Helper()
	if out, err := tool(t, path, "tofu", "init", "-backend=false", "-input=false"); err != nil {
		return nil, out, err
	}
	return states(t, path)
}

// state is Terraform's state after a run.
type state struct {
	Values struct {
		Outputs map[string]struct{ Value any }
		Root    struct {
			Resources []struct {
				Address string
				Type    string
				Values  json.RawMessage
			}
		} `json:"root_module"`
	}
}

// states runs a folder's tests. It returns the state after each run that applies, by name, and the messages.
func states(t *testing.T, path string) (map[string]state, string, error) {
	lines, err := tool(t, path, "tofu", "test", "-json", "-verbose")
	all, messages := map[string]state{}, ""
	for line := range strings.Lines(lines) {
		var event struct {
			Level   string          `json:"@level"`
			Message string          `json:"@message"`
			Run     string          `json:"@testrun"`
			State   json.RawMessage `json:"test_state"`
			Error   struct {
				Detail string
			} `json:"diagnostic"`
		}
		if json.Unmarshal([]byte(line), &event) != nil {
			messages += line
			continue
		}
		messages += event.Message + "\n" + event.Error.Detail + "\n"
		if event.State != nil {
			var s state
			if err := json.Unmarshal(event.State, &s); err != nil {
				return nil, messages, err
			}
			all[event.Run] = s
		}
	}
	return all, messages, err
}

func lint(t *testing.T, root, folder string) error {
	args := []string{"--config=" + filepath.Join(root, ".tflint.hcl"), "--format=compact"}
	if strings.HasPrefix(folder, "examples/") { // an example is one file, to be read from top to bottom
		args = append(args, "--disable-rule=terraform_standard_module_structure")
	}
	return withOutput(tool(t, filepath.Join(root, folder), "tflint", args...))
}

func documented(t *testing.T, root, folder string) error {
	if strings.HasPrefix(folder, "examples/") {
		return nil
	}
	readme, err := os.ReadFile(filepath.Join(root, folder, "README.md"))
	if err != nil || !strings.Contains(string(readme), "<!-- BEGIN_TF_DOCS -->") {
		return fmt.Errorf("README.md lacks the markers of terraform-docs: %v", err)
	}
	out, err := tool(t, root, "terraform-docs", "-c", ".terraform-docs.yml", "--output-check", folder)
	if err != nil {
		out += "\nrun make docs-terraform"
	}
	return withOutput(out, err)
}
