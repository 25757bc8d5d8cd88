package check

import (
	"maps"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/entrepot-io/entrepot/infra/testenv"
)

// maxExposure is the highest exposure level that systemd-analyze may report, in tenths. Unrestricted services have 10.0;
// about 1.0 is the least for a service that listens and dials.
const maxExposure = "20"

func TestSystemdUnitIsHardened(t *testing.T) {
	unit := read(t, path("systemd", "entrepot.service"))
	file := filepath.Join(t.TempDir(), "entrepot.service")
	// systemd-analyze checks that the program exists.
	write(t, file, strings.Replace(unit, "/usr/local/bin/entrepot", testenv.Program(t), 1))
	analyze := testenv.Tool(t, "systemd-analyze")
	if out := run(t, exec.Command(analyze, "verify", "--man=no", file)); strings.Contains(out, file) {
		t.Errorf("systemd-analyze verify: %s", out) // it warns of unknown keys, but exits with 0
	}
	run(t, exec.Command(analyze, "security", "--no-pager", "--offline=true", "--threshold="+maxExposure, file))
}

func TestSystemdEnvironmentIsValid(t *testing.T) {
	environment := map[string]string{}
	for line := range strings.Lines(read(t, path("systemd", "entrepot.env"))) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok && !strings.HasPrefix(name, "#") {
			environment[name] = value
		}
	}
	if environment["ENTREPOT_STORE"] == "" {
		t.Error("ENTREPOT_STORE is missing")
	}
	mustBeValidSettings(t, environment)
	// Verify that the check can fail.
	for name, value := range map[string]string{"ENTREPOT_STOER": "x", "ENTREPOT_TAG_TTL": "soon"} {
		wrong := maps.Clone(environment)
		wrong[name] = value
		if err := checkSettings(t, wrong); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s=%s: error %v, want one that names the variable", name, value, err)
		}
	}
}
