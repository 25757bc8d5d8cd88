//go:build e2e

package e2e_test

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/entrepot-io/entrepot/infra/testenv"
)

const copied = "localhost/copied:1"

// TestSkopeoCopiesWithoutUpstream copies with skopeo and runs the copy with podman.
func TestSkopeoCopiesWithoutUpstream(t *testing.T) {
	minio := testenv.StartMinIO(t)
	for name, test := range map[string]struct {
		registry string
		format   format
		prefix   string // of the repository in the mirror's path
		copy     func(t testing.TB, skopeo string, podman *testenv.Podman, source string)
	}{
		"podman's storage, default upstream":           {"docker.io", ociFormat, "", copyToStorage},
		"OCI archive, upstream in the path":            {"corp.example", ociFormat, "corp.example/", copyToArchive("oci-archive")},
		"Docker archive, default upstream by its name": {"docker.io", dockerFormat, "docker.io/", copyToArchive("docker-archive")},
	} {
		t.Run(name, func(t *testing.T) {
			skopeo := testenv.Tool(t, "skopeo")
			m := newMirror(t, minioStore(t, minio), "docker.io", "corp.example")
			img := pushImage(t, m.upstreams[test.registry], "entrepot-e2e/hello:1", test.format)
			podman := testenv.NewPodman(t, "")
			c := podmanClient(t, podman, copied)
			c.version = strings.TrimSpace(output(t, exec.Command(skopeo, "--version"))) + ", run by " + c.version
			c.pull = func(t testing.TB) {
				test.copy(t, skopeo, podman, "docker://"+m.addr+"/"+test.prefix+img.name)
			}
			scenario{mirror: m, registry: test.registry, image: img, client: c, blobStatus: http.StatusTemporaryRedirect, freshReplica: true}.run(t)
		})
	}
}

func copyToStorage(t testing.TB, skopeo string, podman *testenv.Podman, source string) {
	t.Helper()
	output(t, exec.Command(skopeo, "copy", "--quiet", "--src-tls-verify=false", source, podman.Storage+copied))
}

func copyToArchive(transport string) func(testing.TB, string, *testenv.Podman, string) {
	return func(t testing.TB, skopeo string, podman *testenv.Podman, source string) {
		t.Helper()
		archive := filepath.Join(t.TempDir(), "image.tar")
		output(t, exec.Command(skopeo, "copy", "--quiet", "--src-tls-verify=false", source, transport+":"+archive+":"+copied))
		load(t, podman, archive)
	}
}

// load loads an archive into podman and removes it. The archive names its image copied.
func load(t testing.TB, podman *testenv.Podman, archive string) {
	t.Helper()
	output(t, podman.Command("load", "--quiet", "--input", archive))
	must(t, os.Remove(archive), "remove the archive")
}
