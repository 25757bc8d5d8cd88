//go:build e2e

package e2e_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/entrepot-io/entrepot/infra/testenv"
)

// startDebianDocker starts Debian's engine as a client of the mirror at an address.
func startDebianDocker(t testing.TB, addr string) *testenv.Docker {
	t.Helper()
	return testenv.StartDocker(t, testenv.DebianDocker, map[string]string{
		"daemon.json": documented(t, "## Docker with another image store", byName(t, addr)),
	})
}

func startContainerdDocker(t testing.TB, addr string) *testenv.Docker {
	t.Helper()
	return testenv.StartDocker(t, testenv.ContainerdDocker, map[string]string{
		"daemon.json":                 `{"features": {"time-namespaces": false}}`, // Debian's runc does not support them
		"certs.d/_default/hosts.toml": documented(t, "## Docker with the containerd image store", byName(t, addr)),
	})
}

func onItsRegistry(_ testing.TB, _ *mirror, img image) string { return img.name }

func inTheMirrorsPath(t testing.TB, m *mirror, img image) string {
	return byName(t, m.addr) + "/corp.example/" + img.name
}

func byItsRegistry(_ testing.TB, _ *mirror, img image) string { return "corp.example/" + img.name }

// engines are the ways to configure Docker for a mirror, each with an image to pull.
var engines = map[string]struct {
	start    func(t testing.TB, addr string) *testenv.Docker
	registry string
	format   format
	store    store
	ref      func(t testing.TB, m *mirror, img image) string
}{
	"an OCI index of Docker Hub by daemon.json":                {startDebianDocker, "docker.io", ociFormat, minioStore, onItsRegistry},
	"a Docker manifest list of Docker Hub by daemon.json":      {startDebianDocker, "docker.io", dockerFormat, s3Store, onItsRegistry},
	"another registry by its name in the path of the mirror's": {startDebianDocker, "corp.example", ociFormat, minioStore, inTheMirrorsPath},
	"Docker Hub by hosts.toml":                                 {startContainerdDocker, "docker.io", ociFormat, s3Store, onItsRegistry},
	"another registry by hosts.toml":                           {startContainerdDocker, "corp.example", dockerFormat, minioStore, byItsRegistry},
}

func TestDockerPullsWithoutUpstream(t *testing.T) {
	minio := testenv.StartMinIO(t)
	for name, test := range engines {
		t.Run(name, func(t *testing.T) {
			m := newMirror(t, test.store(t, minio), "docker.io", "corp.example")
			img := pushImage(t, m.upstreams[test.registry], "entrepot-e2e/hello:1", test.format)
			docker := test.start(t, m.addr)
			c := dockerClient(t, docker, test.ref(t, m, img))
			scenario{mirror: m, registry: test.registry, image: img, client: c, blobStatus: http.StatusTemporaryRedirect}.run(t)
		})
	}
}

// The engine's BuildKit has its own logic for mirrors, separate from docker pull.
func TestDockerBuildsThroughMirror(t *testing.T) {
	minio := testenv.StartMinIO(t)
	for name, test := range engines {
		t.Run(name, func(t *testing.T) {
			m := newMirror(t, test.store(t, minio), "docker.io", "corp.example")
			img := pushImage(t, m.upstreams[test.registry], "entrepot-e2e/hello:1", test.format)
			docker := test.start(t, m.addr).WithClient("/usr/bin/docker") // includes BuildKit
			folder := t.TempDir()
			dockerfile := fmt.Sprintf("FROM %s\nCOPY Dockerfile /Dockerfile\n", test.ref(t, m, img))
			must(t, os.WriteFile(filepath.Join(folder, "Dockerfile"), []byte(dockerfile), 0o644), "write the Dockerfile")
			began := time.Now()
			build := docker.Command("build", "--tag", "built", folder)
			build.Env = append(build.Env, "DOCKER_BUILDKIT=1")
			output(t, build)
			if said := output(t, docker.Command("run", "--rm", "--network", "none", "built")); said != img.output {
				t.Errorf("the built image printed %q, want %q", said, img.output)
			}
			s := scenario{mirror: m, registry: test.registry, image: img}
			s.checkRegistry(t, m.requestsSince(t, began, img))
			s.checkSentOnce(t)
		})
	}
}

func dockerClient(t *testing.T, docker *testenv.Docker, ref string) client {
	t.Helper()
	version := output(t, docker.Command("version", "--format", "docker {{.Client.Version}}, dockerd {{.Server.Version}}"))
	return client{
		version: strings.TrimSpace(version),
		pull:    func(t testing.TB) { output(t, docker.Command("pull", "--quiet", ref)) },
		run: func(t testing.TB) string {
			return output(t, docker.Command("run", "--rm", "--network", "none", ref))
		},
		remove: func(t testing.TB) {
			output(t, docker.Command("rmi", "--force", ref))
			wantEmpty(t, docker.Command("images", "--all", "--quiet", "--no-trunc"))
		},
	}
}
