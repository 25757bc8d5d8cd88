//go:build e2e

package cluster_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/entrepot-io/entrepot/infra/testenv"
)

// realCrane runs the real crane, which verifies digests.
func realCrane(t *testing.T) behavior {
	t.Helper()
	tool := testenv.Tool(t, "crane")
	return behavior{name: "real crane", pause: 5 * time.Second, program: func(ctx context.Context, c *client, img image) error {
		return c.pullInto(func(folder string) *exec.Cmd {
			return exec.CommandContext(ctx, tool, "pull", "--format", "oci", c.balancer.addr+"/"+img.name(), folder)
		})
	}}
}

// realSkopeo runs the real skopeo, which verifies digests, with podman's default number of retries.
func realSkopeo(t *testing.T) behavior {
	t.Helper()
	tool := testenv.Tool(t, "skopeo")
	return behavior{name: "real skopeo", pause: 5 * time.Second, program: func(ctx context.Context, c *client, img image) error {
		return c.pullInto(func(folder string) *exec.Cmd {
			return exec.CommandContext(ctx, tool, "--insecure-policy", "copy", "--retry-times", "3", "--src-tls-verify=false",
				"docker://"+c.balancer.addr+"/"+img.name(), "dir:"+folder)
		})
	}}
}

// pullInto runs a command that pulls an image into a temporary folder.
func (c *client) pullInto(command func(folder string) *exec.Cmd) error {
	folder, err := os.MkdirTemp("", "cluster-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	cmd := command(folder)
	cmd.WaitDelay = time.Second
	c.stats.requests.Add(1)
	out, err := cmd.CombinedOutput()
	if err == nil {
		return nil
	}
	text := strings.TrimSpace(string(out))
	for _, word := range []string{"MANIFEST_UNKNOWN", "BLOB_UNKNOWN", "DENIED", "NAME_UNKNOWN", "does not match", "mismatch"} {
		if strings.Contains(text, word) {
			return fmt.Errorf("%w: %w: %s", errRefused, err, text)
		}
	}
	return fmt.Errorf("%w: %.2000s", err, text)
}
