package main_test

import (
	"encoding/json"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// commandResult is the outcome of one of the operator's commands.
type commandResult struct {
	stdout, stderr string
	exit           int
	peak           int64 // bytes of resident memory
}

// run runs a command on the cluster's store.
func (w *cluster) run(t *testing.T, args ...string) commandResult {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), w.program, args...)
	cmd.Env = append([]string{"ENTREPOT_UPSTREAMS=docker.io=" + w.upstream.URL(), "HOME=" + t.TempDir()}, w.store...)
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if exit := new(exec.ExitError); err != nil {
		require.ErrorAs(t, err, &exit)
	}
	usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	require.True(t, ok)
	return commandResult{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode(), usage.Maxrss << 10}
}

// runJSON runs a command with --output json, which must succeed, and decodes the result.
func (w *cluster) runJSON(t *testing.T, result any, args ...string) {
	t.Helper()
	r := w.run(t, append(args, "--output", "json")...)
	require.Zero(t, r.exit, r.stderr)
	require.NoError(t, json.Unmarshal([]byte(r.stdout), result), r.stdout)
}
