//go:build e2e

package e2e_test

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/entrepot-io/entrepot/infra/testenv"
)

// Configurations of the suite. Both disable deletes, since a mirror keeps deleted content, and sha512, since the reference
// implementation responds with sha256.
var (
	pushAndPull = []string{"OCI_DATA_SHA512=false", "OCI_API_BLOBS_DELETE=false", "OCI_API_MANIFESTS_DELETE=false", "OCI_API_TAGS_DELETE=false"}
	pushOnly    = append(slices.Clone(pushAndPull), "OCI_API_PULL=false")
)

// suiteReport is the result of the conformance suite.
type suiteReport struct {
	passed map[string]int // times that each test passed, by name
	failed []string
}

// runConformance runs the OCI conformance suite against the registry at a URL. It parses the suite's output instead of its
// report and exit code, since this version panics when it writes the report of a run without pushes.
func runConformance(t *testing.T, registry string, config []string) suiteReport {
	t.Helper()
	suite := exec.Command(testenv.Tool(t, "conformance"))
	suite.Dir = t.TempDir() // it has no configuration file, and the suite writes its report there
	suite.Env = append(os.Environ(), config...)
	suite.Env = append(suite.Env, "OCI_VERSION=1.1", "OCI_TLS=disabled", "OCI_REGISTRY="+strings.TrimPrefix(registry, "http://"))
	out, err := suite.CombinedOutput()
	var failed *exec.ExitError
	if err != nil && !errors.As(err, &failed) {
		t.Fatalf("run the conformance suite: %v", err)
	}
	return parseSuite(t, string(out))
}

const suiteName = "OCI Conformance Test" // prefix of all test names

// suiteLine matches the result of a test. The results of its subtests follow it and have its name as their prefix.
var suiteLine = regexp.MustCompile(`^ *` + suiteName + `(/.*)?: (Pass|FAIL|Error|Skip|Disabled|Unknown)$`)

func parseSuite(t *testing.T, out string) suiteReport {
	t.Helper()
	report := suiteReport{passed: map[string]int{}}
	results, _, complete := strings.Cut(out, "\nConfiguration:\n")
	var name, status, why string
	settle := func(next string) {
		isLeaf := !strings.HasPrefix(next, name+"/")
		switch {
		case status == "Pass" && isLeaf:
			report.passed[strings.TrimPrefix(name, "/")]++
		case status == "FAIL" || status == "Error":
			report.failed = append(report.failed, fmt.Sprintf("%s: %s%s", name, status, why))
		}
	}
	for line := range strings.Lines(results) {
		match := suiteLine.FindStringSubmatch(strings.TrimSuffix(line, "\n"))
		if match == nil {
			why += line
			continue
		}
		settle(match[1])
		name, status, why = match[1], match[2], ""
	}
	settle("")
	if !complete || len(report.passed) == 0 {
		t.Fatalf("the conformance suite ran no test:\n%s", out)
	}
	return report
}

// mustPass fails the test if a test of the suite failed. It logs how often each kind of test passed.
func (r *suiteReport) mustPass(t *testing.T, what string) {
	t.Helper()
	n, kinds := 0, map[string]int{}
	for name, times := range r.passed {
		n += times
		kinds[path.Base(name)] += times
	}
	var summary strings.Builder
	for _, kind := range slices.Sorted(maps.Keys(kinds)) {
		fmt.Fprintf(&summary, ", %s %d", kind, kinds[kind])
	}
	t.Logf("FIGURES conformance, %s: %d passed, %d failed%s", what, n, len(r.failed), summary.String())
	for _, failure := range r.failed {
		t.Errorf("conformance, %s: %s", what, failure)
	}
}

// mustHavePassed fails the test unless each of the suite's tests passed the given number of times.
func (r *suiteReport) mustHavePassed(t *testing.T, tests map[string]int) {
	t.Helper()
	for name, times := range tests {
		if got := r.passed[name]; got != times {
			t.Errorf("the suite's test %q passed %d times, want %d", name, got, times)
		}
	}
}
