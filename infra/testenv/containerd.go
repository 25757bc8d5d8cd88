package testenv

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// Containerd is a containerd daemon with empty state of its own.
type Containerd struct {
	HostsDir string // the certs.d folder, empty at first

	ctr    string
	socket string
}

// StartContainerd starts a containerd that reads registry mirrors from HostsDir. Its transfer service fetches a layer by
// several concurrent open-ended ranges; ctr --local would not. It needs root.
func StartContainerd(t testing.TB) *Containerd {
	t.Helper()
	needRoot(t, "containerd")
	ctr, daemon := Tool(t, "ctr"), Tool(t, "containerd")
	shim := filepath.Dir(Tool(t, "containerd-shim-runc-v2"))
	Tool(t, "runc")
	folder := shortTempDir(t)
	c := &Containerd{HostsDir: filepath.Join(folder, "certs.d"), ctr: ctr, socket: filepath.Join(folder, "containerd.sock")}
	config := filepath.Join(folder, "config.toml")
	text := fmt.Sprintf(`version = 3
root = %q
state = %q
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.cri.v1.images", "io.containerd.cri.v1.runtime", "io.containerd.nri.v1.nri"]
[grpc]
  address = %q
[ttrpc]
  address = %q
[plugins."io.containerd.internal.v1.opt"]
  path = %q
[plugins."io.containerd.transfer.v1.local"]
  config_path = %q
  concurrent_layer_fetch_buffer = 4194304
`, filepath.Join(folder, "root"), filepath.Join(folder, "state"), c.socket, c.socket+".ttrpc", filepath.Join(folder, "opt"), c.HostsDir)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	path := "PATH=" + shim + string(os.PathListSeparator) + os.Getenv("PATH")
	process := Start(t, "containerd", []string{path}, daemon, "--config", config)
	// SIGKILL would leave mounts behind.
	t.Cleanup(func() { process.Signal(t, syscall.SIGTERM); process.Wait(t, time.Minute) })
	process.WaitUntil(t, "answers", func() error { return c.Command("version").Run() })
	return c
}

// Mirror configures containerd with a hosts.toml for all registries.
func (c *Containerd) Mirror(t testing.TB, hosts string) {
	t.Helper()
	folder := filepath.Join(c.HostsDir, "_default")
	if err := os.MkdirAll(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "hosts.toml"), []byte(hosts), 0o600); err != nil {
		t.Fatal(err)
	}
}

// Command returns a ctr command for this containerd.
func (c *Containerd) Command(args ...string) *exec.Cmd {
	return exec.Command(c.ctr, append([]string{"--address", c.socket, "--namespace", "test"}, args...)...)
}
