//go:build e2e

package e2e_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/entrepot-io/entrepot/infra/testenv"
)

// Each client runs the documented command for a mirror without TLS.
func TestDocumentedCommandsWork(t *testing.T) {
	origin := startReferrersRegistry(t)
	registry := strings.TrimPrefix(origin, "http://")
	home := t.TempDir()
	run := func(command ...string) {
		t.Helper()
		cmd := exec.Command(command[0], command[1:]...)
		cmd.Dir = home
		cmd.Env = append(os.Environ(), "HOME="+home, "COSIGN_PASSWORD=",
			"PATH="+filepath.Dir(testenv.Tool(t, "crane"))+string(os.PathListSeparator)+os.Getenv("PATH"))
		output(t, cmd)
	}
	write := func(file, text string) {
		t.Helper()
		path := filepath.Join(home, file)
		must(t, os.MkdirAll(filepath.Dir(path), 0o700), "make a folder")
		must(t, os.WriteFile(path, []byte(text), 0o600), "write a file")
	}

	image, err := name.ParseReference(registry+"/org/app:1", name.Insecure)
	must(t, err, "name the image")
	content, err := random.Image(1000, 2)
	must(t, err, "make an image")
	must(t, remote.Write(image, content), "push the image")
	write("app/Chart.yaml", "{apiVersion: v2, name: app, version: 1.2.0}")
	run(testenv.Tool(t, "helm"), "package", "app")
	run(testenv.Tool(t, "helm"), "push", "--plain-http", "app-1.2.0.tgz", "oci://"+registry+"/org/charts")
	run(testenv.Tool(t, "cosign"), "generate-key-pair")
	run(testenv.Tool(t, "cosign"), "sign", "--yes", "--key", "cosign.key", "--tlog-upload=false", "--use-signing-config=false",
		"--allow-http-registry", image.Name())
	run(testenv.Tool(t, "notation"), "cert", "generate-test", "--default", "signer")
	write("policy.json", `{"version": "1.0", "trustPolicies": [{"name": "all", "registryScopes": ["*"],
  "signatureVerification": {"level": "strict"}, "trustStores": ["ca:signer"], "trustedIdentities": ["*"]}]}`)
	run(testenv.Tool(t, "notation"), "policy", "import", "policy.json")
	run(testenv.Tool(t, "notation"), "sign", "--insecure-registry", "--force-referrers-tag=false", image.Name())

	addr := testenv.FreeAddr(t, "127.0.0.1")
	startMirror(t, addr, minioStore(t, testenv.StartMinIO(t)), "docker.io=http://127.0.0.2:1,ghcr.io="+origin, tagTTL)
	here := testenv.InPlaceOf(t, map[string]string{testenv.HostsWith(t, testenv.Mirror, "127.0.0.1"): "/etc/hosts"})
	for line := range strings.Lines(documented(t, "## By name", byName(t, addr))) {
		line = strings.TrimSpace(line)
		t.Run(strings.Fields(line)[0], func(t *testing.T) {
			if strings.HasPrefix(line, "cosign") {
				line += " --insecure-ignore-tlog" // the test's signatures are in no public log
			}
			run(append(here, "sh", "-c", line)...)
		})
	}
}
