//go:build e2e

package e2e_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/entrepot-io/entrepot/infra/testenv"
)

func TestBuildKitBuildsThroughMirror(t *testing.T) {
	minio := testenv.StartMinIO(t)
	for registry, format := range map[string]format{"docker.io": ociFormat, "ghcr.io": dockerFormat} {
		t.Run(registry, func(t *testing.T) {
			// The image's upstream is not the default, so the mirror must select it by ns.
			m := newMirror(t, minioStore(t, minio), "corp.example", "docker.io", "ghcr.io")
			img := pushImage(t, m.upstreams[registry], "entrepot-e2e/hello:1", format)
			buildkit := testenv.StartBuildKit(t, documented(t, "## BuildKit", byName(t, m.addr)))
			folder, built := t.TempDir(), t.TempDir()
			dockerfile := fmt.Sprintf("FROM %s/%s\nCOPY Dockerfile /Dockerfile\n", registry, img.name)
			must(t, os.WriteFile(filepath.Join(folder, "Dockerfile"), []byte(dockerfile), 0o644), "write the Dockerfile")
			began := time.Now()
			output(t, buildkit.Command("build", "--frontend", "dockerfile.v0",
				"--local", "context="+folder, "--local", "dockerfile="+folder, "--output", "type=local,dest="+built))
			if sum := digestOfFile(t, filepath.Join(built, "payload")); !strings.Contains(img.output, sum) {
				t.Errorf("the payload has the digest %s, want that in %q", sum, img.output)
			}
			s := scenario{mirror: m, registry: registry, image: img}
			s.checkRegistry(t, m.requestsSince(t, began, img))
			s.checkSentOnce(t)
			t.Logf("FIGURES %s", strings.TrimSpace(output(t, buildkit.Command("--version"))))
		})
	}
}

func digestOfFile(t testing.TB, path string) string {
	t.Helper()
	file, err := os.Open(path)
	must(t, err, "open the built file")
	defer file.Close()
	sum, err := hashOf(file)
	must(t, err, "hash the built file")
	return strings.TrimPrefix(sum, "sha256:")
}
