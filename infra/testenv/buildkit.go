package testenv

import (
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// BuildKit is a running buildkitd with an empty store.
type BuildKit struct {
	ctl    string
	socket string
}

// StartBuildKit starts a daemon with the given buildkitd.toml. It resolves the name Mirror to 127.0.0.1. It needs root.
func StartBuildKit(t testing.TB, config string) *BuildKit {
	t.Helper()
	needRoot(t, "buildkitd")
	ctl, daemon := Tool(t, "buildctl"), Tool(t, "buildkitd")
	Tool(t, "runc")
	folder := shortTempDir(t)
	b := &BuildKit{ctl: ctl, socket: "unix://" + filepath.Join(folder, "buildkitd.sock")}
	command := append(InPlaceOf(t, map[string]string{HostsWith(t, Mirror, "127.0.0.1"): "/etc/hosts"}), daemon,
		"--config", filepath.Join(writeFiles(t, map[string]string{"buildkitd.toml": config}), "buildkitd.toml"),
		"--addr", b.socket,
		"--root", filepath.Join(folder, "root"),
		"--containerd-worker=false", "--oci-worker-net=host",
	)
	process := Start(t, "buildkitd", nil, command[0], command[1:]...)
	t.Cleanup(func() { process.Signal(t, syscall.SIGTERM); process.Wait(t, time.Minute) })
	process.WaitUntil(t, "answers", func() error { return b.Command("debug", "workers").Run() })
	return b
}

// Command returns a buildctl command that talks to this daemon.
func (b *BuildKit) Command(args ...string) *exec.Cmd {
	return exec.Command(b.ctl, append([]string{"--addr", b.socket}, args...)...)
}
