package testenv

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Podman is a podman with images and containers in the test's own folders.
type Podman struct {
	Storage string // skopeo's name of this storage: containers-storage:[driver@root+run]

	tool  string
	flags []string
	env   []string
}

// NewPodman creates a podman with empty storage. registriesConf is the content of registries.conf. It needs root.
func NewPodman(t testing.TB, registriesConf string) *Podman {
	t.Helper()
	needRoot(t, "podman")
	tool := Tool(t, "podman")
	Tool(t, "conmon")
	runc := Tool(t, "runc")
	folder := shortTempDir(t)
	root, run := filepath.Join(folder, "root"), filepath.Join(folder, "run")
	p := &Podman{
		Storage: fmt.Sprintf("containers-storage:[vfs@%s+%s]", root, run),
		tool:    tool,
		flags: []string{
			"--root", root, "--runroot", run, "--tmpdir", filepath.Join(folder, "tmp"),
			"--storage-driver", "vfs", "--cgroup-manager", "cgroupfs", "--events-backend", "none", "--runtime", runc,
		},
	}
	// Podman's default limits are higher than root may set in some sandboxes.
	const limits = "[containers]\ndefault_ulimits = [\"nofile=1024:1024\", \"nproc=1024:1024\"]\n"
	for variable, text := range map[string]string{"CONTAINERS_REGISTRIES_CONF": registriesConf, "CONTAINERS_CONF": limits} {
		path := filepath.Join(folder, variable)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		p.env = append(p.env, variable+"="+path)
	}
	t.Cleanup(func() { _ = p.Command("rm", "--all", "--force").Run() }) // fails if there are no containers
	return p
}

// Command returns a podman command that uses this storage.
func (p *Podman) Command(args ...string) *exec.Cmd {
	cmd := exec.Command(p.tool, append(p.flags, args...)...)
	cmd.Env = append(os.Environ(), p.env...)
	return cmd
}
