package check

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"

	"github.com/entrepot-io/entrepot/infra/testenv"
)

// This test runs the script that the chart renders for the DaemonSet, in the shell of the DaemonSet's image.
func TestNodesScriptWritesAndRemovesHosts(t *testing.T) {
	objects, err := render(t, withStore(`{nodes: {enabled: true, endpoint: "http://mirror.example.com:5000", registries: [_default, ghcr.io]}}`))
	if err != nil {
		t.Fatal(err)
	}
	config, certs := t.TempDir(), t.TempDir()
	for name, content := range objects["ConfigMap/mirror-entrepot-nodes"].(*core.ConfigMap).Data {
		write(t, filepath.Join(config, name), content)
	}
	theirs := filepath.Join(certs, "ghcr.io", "hosts.toml")
	if err := os.Mkdir(filepath.Dir(theirs), 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, theirs, "server = \"https://theirs.example.com\"\n")

	ours := filepath.Join(certs, "_default", "hosts.toml")
	process := testenv.Start(t, "install.sh", []string{"CERTS_D=" + certs, "REGISTRIES=_default ghcr.io"},
		testenv.Tool(t, "busybox"), "sh", filepath.Join(config, "install.sh"))
	process.WaitUntil(t, "has written hosts.toml", func() error { _, err := os.Stat(ours); return err })
	if got := read(t, ours); !strings.Contains(got, "[host.\"http://mirror.example.com:5000\"]\n  capabilities = [\"pull\", \"resolve\"]\n") {
		t.Errorf("hosts.toml is %q", got)
	}
	process.WaitUntil(t, "reports the foreign file", func() error {
		if !strings.Contains(process.Output(t), theirs) {
			return os.ErrNotExist
		}
		return nil
	})
	process.Signal(t, syscall.SIGTERM)
	if code := process.Wait(t, 10*time.Second); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
	// containerd would take an empty folder to mean that the registry has no mirror, and ignore _default.
	if _, err := os.Stat(filepath.Dir(ours)); !os.IsNotExist(err) {
		t.Errorf("folder not removed: %v", err)
	}
	if got := read(t, theirs); !strings.Contains(got, "theirs") {
		t.Errorf("foreign file is now %q", got)
	}
}

// A pod reads its script and writes hosts.toml only when it starts.
func TestNodesPodsRestartOnChange(t *testing.T) {
	files := func(host string) string {
		t.Helper()
		objects, err := render(t, withStore(`{nodes: {enabled: true, endpoint: "http://`+host+`"}}`))
		if err != nil {
			t.Fatal(err)
		}
		return objects["DaemonSet/mirror-entrepot-nodes"].(*apps.DaemonSet).Spec.Template.Annotations["entrepot.io/files"]
	}
	if one := files("one"); one != files("one") || one == files("another") {
		t.Error("the pods' annotation does not depend on the files")
	}
}
