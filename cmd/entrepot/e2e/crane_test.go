//go:build e2e

package e2e_test

import (
	"net/http"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/entrepot-io/entrepot/infra/testenv"
)

// TestCranePullsWithoutUpstream pulls into a tarball with crane and runs the image with podman.
func TestCranePullsWithoutUpstream(t *testing.T) {
	minio := testenv.StartMinIO(t)
	for name, test := range map[string]struct {
		registry string
		format   format
		prefix   string // of the repository in the mirror's path
	}{
		"default upstream":             {"docker.io", dockerFormat, ""},
		"default upstream by its name": {"docker.io", ociFormat, "docker.io/"},
		"upstream in the path":         {"corp.example", ociFormat, "corp.example/"},
	} {
		t.Run(name, func(t *testing.T) {
			crane := testenv.Tool(t, "crane")
			m := newMirror(t, minioStore(t, minio), "docker.io", "corp.example")
			img := pushImage(t, m.upstreams[test.registry], "entrepot-e2e/hello:1", test.format)
			podman := testenv.NewPodman(t, "")
			ref := m.addr + "/" + test.prefix + img.name
			c := podmanClient(t, podman, ref)
			c.version = "crane " + strings.TrimSpace(output(t, exec.Command(crane, "version"))) + ", run by " + c.version
			c.pull = func(t testing.TB) {
				archive := filepath.Join(t.TempDir(), "image.tar")
				output(t, exec.Command(crane, "pull", "--platform", "linux/"+runtime.GOARCH, ref, archive))
				load(t, podman, archive)
			}
			scenario{mirror: m, registry: test.registry, image: img, client: c, blobStatus: http.StatusTemporaryRedirect}.run(t)
		})
	}
}
