package check

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/entrepot-io/entrepot/infra/testenv"
)

var settingRow = regexp.MustCompile("(?m)^\\| `(ENTREPOT_[A-Z_]+)`")

// checkSettings asks the program itself whether it takes an environment, and that it has a setting for each ENTREPOT_
// variable.
func checkSettings(t testing.TB, environment map[string]string) error {
	t.Helper()
	program := testenv.Program(t)
	table, err := exec.Command(program, "config").Output()
	if err != nil {
		t.Fatalf("ask the program for its settings: %v", err)
	}
	known := map[string]bool{}
	for _, row := range settingRow.FindAllSubmatch(table, -1) {
		known[string(row[1])] = true
	}
	// What it asks does not matter, only that it gets as far as asking: a mistake in the settings is exit code 2.
	cmd := exec.Command(program, "healthcheck", "--listen", "127.0.0.1:1")
	for name, value := range environment {
		if strings.HasPrefix(name, "ENTREPOT_") && !known[name] {
			return fmt.Errorf("%s is no setting", name)
		}
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == 1 {
		return nil
	}
	return fmt.Errorf("%v: %s", err, out)
}

func mustBeSettings(t testing.TB, environment map[string]string) {
	t.Helper()
	if err := checkSettings(t, environment); err != nil {
		t.Error(err)
	}
}

// checkout is what is checked: this one, or where a test sees whether a check finds what is broken, a copy of it.
var checkout = cmp.Or(os.Getenv("ENTREPOT_CHECKED"), testenv.Root())

// path is that of a file below infra/.
func path(parts ...string) string {
	return filepath.Join(append([]string{checkout, "infra"}, parts...)...)
}

func read(t testing.TB, file string) string {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// run runs a program and returns what it wrote.
func run(t testing.TB, cmd *exec.Cmd) string {
	t.Helper()
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(cmd.Args, " "), err, out)
	}
	return string(out)
}
