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

// checkSettings returns an error if the program rejects the environment or has no setting for one of its ENTREPOT_
// variables.
func checkSettings(t testing.TB, environment map[string]string) error {
	t.Helper()
	program := testenv.Program(t)
	table, err := exec.Command(program, "settings", "--output", "markdown").Output()
	if err != nil {
		t.Fatalf("entrepot settings: %v", err)
	}
	known := map[string]bool{}
	for _, row := range settingRow.FindAllSubmatch(table, -1) {
		known[string(row[1])] = true
	}
	// healthcheck reads the settings, then fails to connect with exit code 1. Invalid settings are exit code 2.
	cmd := exec.Command(program, "healthcheck", "--listen", "127.0.0.1:1")
	for name, value := range environment {
		if strings.HasPrefix(name, "ENTREPOT_") && !known[name] {
			return fmt.Errorf("unknown setting %s", name)
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

func mustBeValidSettings(t testing.TB, environment map[string]string) {
	t.Helper()
	if err := checkSettings(t, environment); err != nil {
		t.Error(err)
	}
}

// checkout is the folder to check: this checkout, or the broken copy that mustDetect made.
var checkout = cmp.Or(os.Getenv("ENTREPOT_CHECKED"), testenv.Root())

// path returns the path of a file below infra/.
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

// run runs a command and returns its output. An exit code other than 0 fails the test.
func run(t testing.TB, cmd *exec.Cmd) string {
	t.Helper()
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(cmd.Args, " "), err, out)
	}
	return string(out)
}
