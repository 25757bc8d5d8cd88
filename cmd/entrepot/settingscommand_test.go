package main_test

import (
	"encoding/json"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// settingsPage is what entrepot settings prints as JSON.
type settingsPage struct {
	Settings []struct{ Variable, Value, Origin, Default string }
	Unknown  []struct{ Variable, Nearest string }
}

// value returns the value and the origin of a setting.
func (p settingsPage) value(t *testing.T, variable string) (value, origin string) {
	t.Helper()
	for _, s := range p.Settings {
		if s.Variable == variable {
			return s.Value, s.Origin
		}
	}
	t.Fatalf("no setting %s", variable)
	return "", ""
}

// settings runs entrepot settings with more variables.
func (w *cluster) settings(t *testing.T, env []string, args ...string) commandResult {
	t.Helper()
	with := *w
	with.store = append(append([]string{}, w.store...), env...)
	return with.run(t, append([]string{"settings"}, args...)...)
}

// settingsJSON decodes the settings in force with more variables.
func (w *cluster) settingsJSON(t *testing.T, env []string, page *settingsPage) {
	t.Helper()
	r := w.settings(t, env, "--output", "json")
	require.Zero(t, r.exit, r.stderr)
	require.NoError(t, json.Unmarshal([]byte(r.stdout), page))
}

func TestSettingsInForceArePrinted(t *testing.T) {
	t.Parallel()
	w := newCluster(t)
	env := []string{"ENTREPOT_TAG_TTL=5m", "ENTREPOT_TAGTTL=6m", "ENTREPOT_DOCKER_CONFIG=top secret", "K_SERVICE=mirror", "ENTREPOT_TEST_STRICT=1"}
	r := w.settings(t, env, "--keep-deleted", "7d", "--access-log=false")
	require.Zero(t, r.exit, r.stderr)
	assert.Equal(t, "warning: unknown setting ENTREPOT_TAGTTL; did you mean ENTREPOT_TAG_TTL?\n", r.stderr)
	rows := map[string]string{}
	for line := range strings.Lines(r.stdout) {
		fields := strings.Fields(line)
		rows[fields[0]] = strings.Join(fields[1:], " ")
	}
	for variable, want := range map[string]string{
		"VARIABLE":               "VALUE ORIGIN",
		"ENTREPOT_TAG_TTL":       "5m environment",
		"ENTREPOT_KEEP_DELETED":  "7d flag",
		"ENTREPOT_ACCESS_LOG":    "false flag",
		"ENTREPOT_DRAIN_TIMEOUT": "5s platform",
		"ENTREPOT_LISTEN":        ":5000 default",
		"ENTREPOT_CDN_URL":       "- default",
		"ENTREPOT_DOCKER_CONFIG": "(secret) environment",
	} {
		assert.Equal(t, want, rows[variable], variable)
	}
	assert.NotContains(t, r.stdout, "top")

	r = w.settings(t, env, "--output", "json")
	require.Zero(t, r.exit, r.stderr)
	var page settingsPage
	require.NoError(t, json.Unmarshal([]byte(r.stdout), &page))
	value, origin := page.value(t, "ENTREPOT_DOCKER_CONFIG")
	assert.Equal(t, "(secret)", value)
	assert.Equal(t, "environment", origin)
	value, _ = page.value(t, "ENTREPOT_CDN_URL")
	assert.Empty(t, value)
	require.Len(t, page.Unknown, 1)
	assert.Equal(t, "ENTREPOT_TAG_TTL", page.Unknown[0].Nearest)
	assert.NotContains(t, r.stdout, "top")
}

func TestWrongSettingsAreNotPrinted(t *testing.T) {
	t.Parallel()
	w := newCluster(t)
	for name, c := range map[string]struct {
		env, args []string
		stderr    string
	}{
		"wrong variable": {env: []string{"ENTREPOT_TAG_TTL=soon"}, stderr: `entrepot: ENTREPOT_TAG_TTL: "soon": not a duration; write for example 90s, 1h30m or 30d` + "\n"},
		"wrong flag":     {args: []string{"--access-log=maybe"}, stderr: `entrepot: ENTREPOT_ACCESS_LOG: "maybe": write true or false` + "\n"},
		"wrong format":   {args: []string{"--output", "xml"}, stderr: `entrepot: invalid argument "xml" for "-o, --output" flag: write text, json or markdown` + "\n"},
		"argument":       {args: []string{"all"}, stderr: `entrepot: entrepot settings takes no arguments, only flags: "all"` + "\n"},
	} {
		t.Run(name, func(t *testing.T) {
			r := w.settings(t, c.env, c.args...)
			assert.Equal(t, commandResult{exit: 2, stderr: c.stderr}, r)
		})
	}
}

func TestMarkdownNeedsNoValidSettings(t *testing.T) {
	t.Parallel()
	w := newCluster(t)
	r := w.settings(t, []string{"ENTREPOT_TAG_TTL=soon"}, "--output", "markdown")
	require.Zero(t, r.exit, r.stderr)
	assert.Contains(t, r.stdout, "\n## Freshness\n")
	assert.Contains(t, r.stdout, "| `ENTREPOT_TAG_TTL` | `--tag-ttl` | `1m` |")
}

func TestUnknownSettingIsLoggedWithTheNearest(t *testing.T) {
	t.Parallel()
	w := newCluster(t)
	r := w.start(t, "ENTREPOT_TAGTTL=1m", "ENTREPOT_HTPASSWD=/x")
	waitFor(t, "warnings of unknown settings", func() bool { return strings.Count(r.Output(t), "unknown setting ignored") == 2 })
	for line := range strings.Lines(r.Output(t)) {
		var event map[string]string
		if !strings.Contains(line, "unknown setting ignored") {
			continue
		}
		require.NoError(t, json.Unmarshal([]byte(line), &event))
		nearest, has := event["nearest"]
		assert.Equal(t, event["variable"] == "ENTREPOT_TAGTTL", has)
		if has {
			assert.Equal(t, "ENTREPOT_TAG_TTL", nearest)
		}
	}
}

func TestHelpShowsTypesOfFlags(t *testing.T) {
	t.Parallel()
	help, err := exec.CommandContext(t.Context(), newCluster(t).program, "serve", "--help").Output()
	require.NoError(t, err)
	assert.Contains(t, string(help), "--tag-ttl duration")
}
