//go:build e2e

package e2e_test

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/entrepot-io/entrepot/infra/testenv"
)

// listRequests are the commands of clients that need lists of tags or of referrers. REGISTRY stands for the address of a
// registry, FOLDER for a new folder.
var listRequests = []string{
	"crane ls --insecure REGISTRY/org/app",
	"regctl --host reg=REGISTRY,tls=disabled tag ls REGISTRY/org/app",
	"regctl --host reg=REGISTRY,tls=disabled artifact list REGISTRY/org/app:1",
	"regctl --host reg=REGISTRY,tls=disabled artifact tree --digest-tags REGISTRY/org/app:1",
	"regctl --host reg=REGISTRY,tls=disabled image copy --digest-tags REGISTRY/org/app:1 ocidir://FOLDER:1",

	"skopeo list-tags --tls-verify=false docker://REGISTRY/org/app",
	"skopeo sync --all --src docker --src-tls-verify=false --dest dir REGISTRY/org/app FOLDER",

	"oras repo tags --plain-http REGISTRY/org/app",
	"oras discover --plain-http --format json REGISTRY/org/app:1",
	"oras discover --plain-http --artifact-type a/sbom REGISTRY/org/app:1",
	"oras discover --plain-http --format json REGISTRY/org/app:2",
	"oras copy -r --from-plain-http --to-oci-layout REGISTRY/org/app:1 FOLDER:1",
	"oras backup --plain-http --include-referrers --output FOLDER REGISTRY/org/app",

	"cosign verify --key cosign.pub --insecure-ignore-tlog --new-bundle-format=true --allow-http-registry REGISTRY/org/app:1",
	"cosign verify --key cosign.pub --insecure-ignore-tlog --new-bundle-format=false --allow-http-registry REGISTRY/org/app:1",
	"cosign tree --allow-http-registry REGISTRY/org/app:1",
	"cosign tree --allow-http-registry REGISTRY/org/app:2",

	"notation verify --insecure-registry REGISTRY/org/app:1",
	"notation list --insecure-registry REGISTRY/org/app:1",
	"notation list --insecure-registry REGISTRY/org/app:2",

	"helm pull --plain-http oci://REGISTRY/org/charts/chart --destination FOLDER",
	"helm pull --plain-http oci://REGISTRY/org/charts/chart --destination FOLDER --version >=1.0.0",
	"helm pull --plain-http oci://REGISTRY/org/charts/chart --destination FOLDER --version ~1.0 --prov",
	"helm pull --plain-http oci://REGISTRY/org/charts/chart --destination FOLDER --devel",
	"helm show all --plain-http oci://REGISTRY/org/charts/chart",
	"helm show chart --plain-http oci://REGISTRY/org/charts/chart --version ^1.0",
	"helm template release --plain-http oci://REGISTRY/org/charts/chart --version <2",
}

// listClients runs the clients of listRequests with their own home directory.
type listClients struct {
	home     string // their configuration, keys and working directory
	registry string // receives the pushes
}

func newListClients(t *testing.T, registry string) listClients {
	t.Helper()
	c := listClients{t.TempDir(), registry}
	c.run(t, "cosign", "generate-key-pair")
	c.run(t, "notation", "cert", "generate-test", "--default", "signer")
	c.write(t, "policy.json", `{"version": "1.0", "trustPolicies": [{
  "name": "all", "registryScopes": ["*"], "signatureVerification": {"level": "strict"},
  "trustStores": ["ca:signer"], "trustedIdentities": ["*"]
}]}`)
	c.run(t, "notation", "policy", "import", "policy.json")
	return c
}

// push fills the registry: org/app:1 is signed and has other referrers, org/app:2 has none, org/charts/chart has versions.
func (c listClients) push(t *testing.T) {
	t.Helper()
	image := c.registry + "/org/app"
	for _, tag := range []string{"1", "2"} {
		c.write(t, "f", tag)
		c.run(t, "oras", "push", "--plain-http", image+":"+tag, "f:text/plain")
	}
	c.run(t, "oras", "attach", "--plain-http", "--artifact-type", "a/sbom", image+":1", "f:text/plain")
	for _, bundle := range []string{"true", "false"} {
		c.run(t, "cosign", "sign", "--yes", "--key", "cosign.key", "--tlog-upload=false", "--use-signing-config=false",
			"--new-bundle-format="+bundle, "--allow-http-registry", image+":1")
	}
	c.run(t, "notation", "sign", "--insecure-registry", "--force-referrers-tag=false", image+":1")
	for _, version := range []string{"1.0.0", "1.1.0", "2.0.0-rc.1+build.5"} {
		must(t, os.MkdirAll(filepath.Join(c.home, "chart", "templates"), 0o700), "make a chart")
		c.write(t, "chart/Chart.yaml", "{apiVersion: v2, name: chart, version: "+version+"}")
		c.write(t, "chart/templates/map.yaml", "{apiVersion: v1, kind: ConfigMap, metadata: {name: c}}")
		c.run(t, "helm", "package", "chart")
		c.write(t, "chart-"+version+".tgz.prov", "a provenance file that is not verified")
		c.run(t, "helm", "push", "--plain-http", "chart-"+version+".tgz", "oci://"+c.registry+"/org/charts")
	}
}

// ask sends all listRequests to a registry or a mirror. It returns the output of each client, or the names of the files that
// the client wrote, with sorted lines, since some clients print in random order.
func (c listClients) ask(t *testing.T, addr string) map[string]string {
	t.Helper()
	got := map[string]string{}
	cache := t.TempDir()
	for _, request := range listRequests {
		folder := t.TempDir()
		args := strings.Fields(strings.NewReplacer("REGISTRY", addr, "FOLDER", folder).Replace(request))
		result := c.runWith(t, "HELM_CACHE_HOME="+cache, args[0], args[1:]...)
		if strings.Contains(request, "FOLDER") {
			result = files(t, folder)
		}
		// Signatures name the registry that they were made for.
		lines := strings.Split(strings.NewReplacer(addr, "REGISTRY", c.registry, "REGISTRY").Replace(result), "\n")
		slices.Sort(lines)
		got[request] = strings.TrimSpace(strings.Join(lines, "\n"))
	}
	return got
}

func (c listClients) run(t *testing.T, tool string, args ...string) string {
	t.Helper()
	return c.runWith(t, "", tool, args...)
}

func (c listClients) runWith(t *testing.T, variable, tool string, args ...string) string {
	t.Helper()
	cmd := exec.Command(testenv.Tool(t, tool), args...)
	cmd.Dir = c.home
	cmd.Env = append(os.Environ(), "HOME="+c.home, "COSIGN_PASSWORD=", variable)
	return output(t, cmd)
}

func (c listClients) write(t *testing.T, path, text string) {
	t.Helper()
	must(t, os.WriteFile(filepath.Join(c.home, path), []byte(text), 0o600), "write a file")
}

// files lists the files in a folder. The names of an image's files are their digests.
func files(t *testing.T, folder string) string {
	t.Helper()
	var list strings.Builder
	must(t, fs.WalkDir(os.DirFS(folder), ".", func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			fmt.Fprintln(&list, path)
		}
		return err
	}), "list the files")
	return list.String()
}
