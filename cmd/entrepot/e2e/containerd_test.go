//go:build e2e

package e2e_test

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/entrepot-io/entrepot/infra/testenv"
)

// hostsOfContainerd is the line of the documentation before its hosts.toml.
const hostsOfContainerd = "`/etc/containerd/certs.d/_default/hosts.toml` for all registries, or `certs.d/ghcr.io/hosts.toml` for one, needs no restart:"

// In these tests the image is never in the default upstream, so the mirror must select the upstream by containerd's ns
// parameter.
func TestContainerdPullsWithoutUpstream(t *testing.T) {
	minio := testenv.StartMinIO(t)
	for name, test := range map[string]struct {
		registry  string
		upstreams []string
		format    format
		store     store
		pull      []string // flags
	}{
		"Docker Hub":                {"docker.io", []string{"corp.example", "docker.io"}, ociFormat, minioStore, nil},
		"Docker Hub without ranges": {"docker.io", []string{"corp.example", "docker.io"}, dockerFormat, minioStore, []string{"--local"}},
		"another registry":          {"corp.example", []string{"docker.io", "corp.example"}, ociFormat, s3Store, nil},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMirror(t, test.store(t, minio), test.upstreams...)
			img := pushImage(t, m.upstreams[test.registry], "entrepot-e2e/hello:1", test.format)
			containerd := testenv.StartContainerd(t)
			containerd.Mirror(t, documented(t, hostsOfContainerd, m.addr))
			c := containerdClient(t, containerd, test.registry+"/"+img.name, test.pull)
			scenario{mirror: m, registry: test.registry, image: img, client: c, blobStatus: http.StatusTemporaryRedirect, freshReplica: true}.run(t)
		})
	}
}

func containerdClient(t *testing.T, containerd *testenv.Containerd, ref string, flags []string) client {
	t.Helper()
	// The output is "ctr github.com/containerd/containerd/v2 v2.4.2+unknown".
	words := strings.Fields(output(t, containerd.Command("--version")))
	version, _, _ := strings.Cut(words[len(words)-1], "+")
	pull := append([]string{"images", "pull", "--hosts-dir", containerd.HostsDir}, flags...)
	return client{
		version: "containerd " + version,
		pull:    func(t testing.TB) { output(t, containerd.Command(append(pull, ref)...)) },
		run:     func(t testing.TB) string { return output(t, containerd.Command("run", "--rm", ref, "hello")) },
		remove: func(t testing.TB) {
			output(t, containerd.Command("images", "rm", "--sync", ref))
			wantEmpty(t, containerd.Command("content", "ls", "--quiet"))
		},
	}
}

// Each version of containerd needs its own setting before it reads hosts.toml for the kubelet.
func TestDocumentedContainerdSettingIsAccepted(t *testing.T) {
	later := testenv.Tool(t, "containerd")
	for line, programs := range map[string][]string{
		"## containerd":                  {later},
		"That of containerd 1.5 to 1.7:": {"/usr/bin/containerd", later}, // Debian's is 1.6
	} {
		config := filepath.Join(t.TempDir(), "config.toml")
		must(t, os.WriteFile(config, []byte(documented(t, line, "")), 0o600), "write the configuration")
		for _, program := range programs {
			dump := output(t, exec.Command(program, "--config", config, "config", "dump"))
			if !regexp.MustCompile(`config_path = ["']/etc/containerd/certs\.d["']`).MatchString(dump) {
				t.Errorf("%s does not accept the configuration after %q:\n%s", program, line, dump)
			}
		}
	}
}
