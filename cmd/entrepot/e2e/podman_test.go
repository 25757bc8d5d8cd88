//go:build e2e

package e2e_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/entrepot-io/entrepot/infra/testenv"
)

func TestPodmanPullsWithoutUpstream(t *testing.T) {
	minio := testenv.StartMinIO(t)
	for name, test := range map[string]struct {
		registry string
		format   format
		store    store
	}{
		"Docker Hub":       {"docker.io", ociFormat, s3Store},
		"another registry": {"ghcr.io", dockerFormat, minioStore},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMirror(t, test.store(t, minio), "docker.io", "ghcr.io")
			img := pushImage(t, m.upstreams[test.registry], "entrepot-e2e/hello:1", test.format)
			podman := testenv.NewPodman(t, documented(t, "## Podman, Buildah and CRI-O", m.addr))
			ref := test.registry + "/" + img.name
			c := podmanClient(t, podman, ref)
			c.pull = func(t testing.TB) { output(t, podman.Command("pull", "--quiet", ref)) }
			scenario{mirror: m, registry: test.registry, image: img, client: c, blobStatus: http.StatusTemporaryRedirect}.run(t)
		})
	}
}

// podmanClient returns a client that runs and removes ref. The caller sets pull.
func podmanClient(t *testing.T, podman *testenv.Podman, ref string) client {
	t.Helper()
	return client{
		version: strings.TrimSpace(output(t, podman.Command("version", "--format", "podman {{.Client.Version}}"))),
		run: func(t testing.TB) string {
			return output(t, podman.Command("run", "--rm", "--pull", "never", "--network", "none", ref))
		},
		remove: func(t testing.TB) {
			output(t, podman.Command("rmi", "--force", ref))
			wantEmpty(t, podman.Command("images", "--all", "--quiet", "--no-trunc"))
		},
	}
}
