package testenv

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// Docker is a Docker daemon with empty state of its own and no container network.
type Docker struct {
	cli    string
	socket string
	home   string
}

// Docker engines.
const (
	DebianDocker     = "dockerd"      // Debian's, with an image store of its own
	ContainerdDocker = "dockerd-moby" // a newer one, with containerd's image store
)

// StartDocker starts an engine that sees the given files in /etc/docker and resolves the name Mirror to 127.0.0.1. It needs root.
func StartDocker(t testing.TB, engine string, etc map[string]string) *Docker {
	t.Helper()
	needRoot(t, "dockerd")
	cli, daemon := Tool(t, "docker"), Tool(t, engine)
	folder := shortTempDir(t)
	d := &Docker{cli: cli, socket: "unix://" + filepath.Join(folder, "docker.sock"), home: t.TempDir()}
	if err := os.MkdirAll("/etc/docker", 0o755); err != nil {
		t.Fatal(err)
	}
	command := InPlaceOf(t, map[string]string{writeFiles(t, etc): "/etc/docker", HostsWith(t, Mirror, "127.0.0.1"): "/etc/hosts"})
	command = append(command, daemon,
		"--host", d.socket,
		"--data-root", filepath.Join(folder, "data"),
		"--exec-root", filepath.Join(folder, "exec"),
		"--pidfile", filepath.Join(folder, "docker.pid"),
		"--iptables=false", "--ip6tables=false", "--bridge=none",
		"--exec-opt", "native.cgroupdriver=cgroupfs",
	)
	var env []string
	if engine == ContainerdDocker { // it starts a containerd
		env = append(env, "PATH="+filepath.Dir(Tool(t, "containerd-shim-runc-v2"))+string(os.PathListSeparator)+os.Getenv("PATH"))
	}
	process := Start(t, engine, env, command[0], command[1:]...)
	// SIGKILL would leave mounts behind.
	t.Cleanup(func() { process.Signal(t, syscall.SIGTERM); process.Wait(t, time.Minute) })
	process.WaitUntil(t, "answers", func() error { return d.Command("version").Run() })
	return d
}

// WithClient returns the same daemon with another docker client, a path.
func (d *Docker) WithClient(cli string) *Docker {
	other := *d
	other.cli = cli
	return &other
}

// Command returns a docker command for this daemon.
func (d *Docker) Command(args ...string) *exec.Cmd {
	cmd := exec.Command(d.cli, args...)
	cmd.Env = append(os.Environ(), "DOCKER_HOST="+d.socket, "DOCKER_CONFIG="+d.home)
	return cmd
}
