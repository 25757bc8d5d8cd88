package main_test

import (
	"encoding/json"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// commandResult is the outcome of one of the operator's commands.
type commandResult struct {
	stdout, stderr string
	exit           int
}

// run runs a command on the cluster's store.
func (w *cluster) run(t *testing.T, args ...string) commandResult {
	t.Helper()
	cmd := w.command(t, args...)
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if exit := new(exec.ExitError); err != nil {
		require.ErrorAs(t, err, &exit)
	}
	return commandResult{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}

// command returns a command on the cluster's store.
func (w *cluster) command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), w.program, args...)
	cmd.Env = append([]string{"ENTREPOT_UPSTREAMS=docker.io=" + w.upstream.URL(), "HOME=" + t.TempDir()}, w.store...)
	return cmd
}

// runJSON runs a command with --output json, which must succeed, and decodes the result.
func (w *cluster) runJSON(t *testing.T, result any, args ...string) {
	t.Helper()
	r := w.run(t, append(args, "--output", "json")...)
	require.Zero(t, r.exit, r.stderr)
	require.NoError(t, json.Unmarshal([]byte(r.stdout), result), r.stdout)
}
