//go:build e2e

package e2e_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/entrepot-io/entrepot/infra/testenv"
)

func TestPodmanPullsFromFileStoreWithoutUpstream(t *testing.T) {
	m := newMirror(t, []string{"ENTREPOT_STORE=file:" + t.TempDir()}, "docker.io")
	img := pushImage(t, m.upstreams["docker.io"], "entrepot-e2e/hello:1", ociFormat)
	podman := testenv.NewPodman(t, fmt.Sprintf("[[registry]]\nlocation = %q\ninsecure = true\n", m.addr))
	ref := m.addr + "/" + img.name
	c := podmanClient(t, podman, ref)
	c.pull = func(t testing.TB) { output(t, podman.Command("pull", "--quiet", ref)) }
	scenario{mirror: m, registry: "docker.io", image: img, client: c, blobStatus: http.StatusOK, freshReplica: true}.run(t)
}
