// Package lint_test tests the scripts of `make lint`.
package lint_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// run runs a script and returns its output, its exit code, and the content of the file that ENTREPOT_TEST_NOT_RUN names.
func run(t *testing.T, name string, args ...string) (out string, code int, notRun string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "not-run")
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), "ENTREPOT_TEST_NOT_RUN="+file)
	text, err := cmd.CombinedOutput()
	if exit := new(exec.ExitError); err != nil {
		require.ErrorAs(t, err, &exit)
	}
	lines, err := os.ReadFile(file)
	if err != nil {
		require.ErrorIs(t, err, os.ErrNotExist)
	}
	return string(text), cmd.ProcessState.ExitCode(), string(lines)
}

func TestGovulncheckReportsMissingDatabase(t *testing.T) {
	for name, test := range map[string]struct {
		script string
		out    string
		code   int
		notRun string
	}{
		"no database": {
			script: `echo "govulncheck: dial tcp: lookup vuln.go.dev: no such host" >&2; exit 1`,
			out:    "NOT RUN: govulncheck: vulnerability database unreachable: govulncheck: dial tcp: lookup vuln.go.dev: no such host\n",
			notRun: "NOT RUN: govulncheck: vulnerability database unreachable: govulncheck: dial tcp: lookup vuln.go.dev: no such host\n",
		},
		"finding":    {script: "echo found; exit 3", out: "found\n", code: 3},
		"no finding": {script: "echo none", out: "none\n"},
	} {
		t.Run(name, func(t *testing.T) {
			out, code, notRun := run(t, "./govulncheck.sh", "sh", "-c", test.script)
			require.Equal(t, test.code, code)
			require.Equal(t, test.out, out)
			require.Equal(t, test.notRun, notRun)
		})
	}
}

func TestSummaryListsChecksNotRun(t *testing.T) {
	out, code, _ := run(t, "sh", "-c", "./not-run.sh b reason; ./not-run.sh a reason; ./summary.sh")
	require.Zero(t, code)
	require.Equal(t, "NOT RUN: b: reason\nNOT RUN: a: reason\nNOT RUN: a: reason\nNOT RUN: b: reason\n", out)
	out, _, _ = run(t, "./summary.sh")
	require.Equal(t, "all checks and tests ran\n", out)
}
