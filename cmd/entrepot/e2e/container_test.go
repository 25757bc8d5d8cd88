//go:build e2e

package e2e_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"debug/elf"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/entrepot-io/entrepot/infra/testenv"
)

const (
	goImage        = "entrepot-e2e/go:local"
	releaseVersion = "v0.0.0-e2e"
)

// TestDockerPullsThroughTheImage builds the Dockerfile with this machine's Go and runs the image unprivileged, on a
// read-only file system, until its health check passes. Then docker pulls through it.
func TestDockerPullsThroughTheImage(t *testing.T) {
	minio := testenv.StartMinIO(t)
	m := &mirror{addr: testenv.FreeAddr(t, "127.0.0.1"), upstreams: map[string]*testenv.Registry{"docker.io": testenv.StartRegistry(t, "127.0.0.2")}}
	docker := startDebianDocker(t, m.addr)
	docker.ImportGoImage(t, goImage)
	buildImage(t, docker, "entrepot-e2e/entrepot:local", "DOCKER_BUILDKIT=0")
	inspected := inspectImage(t, docker, "entrepot-e2e/entrepot:local")
	checkImage(t, inspected)

	run := docker.Command("run", "--name", "mirror", "--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges",
		"--network", "host", "--health-interval", "1s")
	for _, variable := range append(minioStore(t, minio),
		"ENTREPOT_LISTEN="+m.addr, "ENTREPOT_UPSTREAMS=docker.io="+m.upstreams["docker.io"].URL(),
		"ENTREPOT_TAG_TTL="+tagTTL.String(), "ENTREPOT_LOG_FORMAT=json") {
		run.Args = append(run.Args, "--env", variable)
	}
	run.Args = append(run.Args, "entrepot-e2e/entrepot:local")
	m.process = testenv.Start(t, "mirror", run.Env, run.Path, run.Args[1:]...)
	m.process.WaitUntil(t, "is healthy", func() error {
		state, err := docker.Command("inspect", "--format", "{{.State.Health.Status}}", "mirror").CombinedOutput()
		if err == nil && strings.TrimSpace(string(state)) != "healthy" {
			err = errors.New(string(state))
		}
		return err
	})
	checkContainer(t, docker, "mirror")

	img := pushImage(t, m.upstreams["docker.io"], "entrepot-e2e/hello:1", ociFormat)
	c := dockerClient(t, docker, img.name)
	c.remove = func(t testing.TB) { output(t, docker.Command("rmi", "--force", img.name)) } // keep the built images
	scenario{mirror: m, registry: "docker.io", image: img, client: c, blobStatus: http.StatusTemporaryRedirect}.run(t)

	output(t, docker.Command("stop", "mirror"))
	if code := m.process.Wait(t, time.Minute); code != 0 {
		t.Errorf("docker stop: exit code %d, want 0", code)
	}
	checkRelease(t, docker, inspected)
}

// imageConfig is the output of `docker image inspect`.
type imageConfig struct {
	ID           string `json:"Id"`
	Architecture string
	Config       struct {
		User        string
		Labels      map[string]string
		Healthcheck struct{ Test []string }
	}
	RootFS struct{ Layers []string }
}

// buildImage builds the Dockerfile without a network.
func buildImage(t *testing.T, docker *testenv.Docker, tag, builder string, args ...string) {
	t.Helper()
	began := time.Now()
	build := docker.Command(append([]string{"build", "--network", "none", "--tag", tag,
		"--build-arg", "GO_IMAGE=" + goImage, "--build-arg", "VERSION=" + releaseVersion, "--build-arg", "REVISION=e2e"}, append(args, testenv.Root())...)...)
	build.Env = append(build.Env, builder)
	output(t, build)
	t.Logf("FIGURES %s built in %s", strings.Join(append(args, builder), " "), time.Since(began).Round(time.Second))
}

func inspectImage(t *testing.T, docker *testenv.Docker, tag string) imageConfig {
	t.Helper()
	var images []imageConfig
	must(t, json.Unmarshal([]byte(output(t, docker.Command("image", "inspect", tag))), &images), "read the image's configuration")
	return images[0]
}

func checkImage(t *testing.T, image imageConfig) {
	t.Helper()
	if image.Config.User != "65532:65532" {
		t.Errorf("the image's user is %q, want 65532:65532", image.Config.User)
	}
	if want := []string{"CMD", "/entrepot", "healthcheck"}; !slices.Equal(image.Config.Healthcheck.Test, want) {
		t.Errorf("the image's health check is %q, want %q", image.Config.Healthcheck.Test, want)
	}
	for label, want := range map[string]string{"licenses": "Apache-2.0", "version": releaseVersion, "revision": "e2e"} {
		if got := image.Config.Labels["org.opencontainers.image."+label]; got != want {
			t.Errorf("the image's label %s is %q, want %q", label, got, want)
		}
	}
	if len(image.RootFS.Layers) != 1 {
		t.Errorf("the image has %d layers, want 1", len(image.RootFS.Layers))
	}
}

// checkContainer checks that the container's process is unprivileged, and that its root is read-only and unchanged.
func checkContainer(t *testing.T, docker *testenv.Docker, name string) {
	t.Helper()
	pid := strings.TrimSpace(output(t, docker.Command("inspect", "--format", "{{.State.Pid}}", name)))
	status, err := os.ReadFile("/proc/" + pid + "/status")
	must(t, err, "read the process's status")
	for _, want := range []string{"\nUid:\t65532\t65532\t65532\t65532\n", "\nCapEff:\t0000000000000000\n", "\nNoNewPrivs:\t1\n"} {
		if !strings.Contains(string(status), want) {
			t.Errorf("status of the container's process lacks %q:\n%s", want, status)
		}
	}
	if readOnly := strings.TrimSpace(output(t, docker.Command("inspect", "--format", "{{.HostConfig.ReadonlyRootfs}}", name))); readOnly != "true" {
		t.Errorf("ReadonlyRootfs is %s, want true", readOnly)
	}
	if written := output(t, docker.Command("diff", name)); written != "" {
		t.Errorf("the container wrote to its root:\n%s", written)
	}
}

// checkRelease checks that builds are reproducible. It builds two releases of this checkout and compares them with each
// other, and with the programs in the images of the legacy builder and of BuildKit, which compiled without a cache.
func checkRelease(t *testing.T, docker *testenv.Docker, native imageConfig) {
	t.Helper()
	other := map[string]string{"amd64": "arm64", "arm64": "amd64"}[runtime.GOARCH]
	platforms := []string{"linux/" + runtime.GOARCH, "linux/" + other}
	first, second := makeRelease(t, platforms), makeRelease(t, platforms)
	checksums, again := readFile(t, filepath.Join(first, "checksums.txt")), readFile(t, filepath.Join(second, "checksums.txt"))
	if !bytes.Equal(checksums, again) {
		t.Errorf("two releases of one commit differ:\n%s\n%s", checksums, again)
	}
	if lines := bytes.Count(checksums, []byte("\n")); lines != 4*len(platforms) {
		t.Errorf("the release has %d files, want an archive, an SBOM, a deb and an rpm for each of %v:\n%s", lines, platforms, checksums)
	}
	for line := range strings.Lines(string(checksums)) {
		sum, name, _ := strings.Cut(strings.TrimSpace(line), "  ")
		if got := sha256.Sum256(readFile(t, filepath.Join(first, name))); hex.EncodeToString(got[:]) != sum {
			t.Errorf("wrong checksum of %s", name)
		}
	}
	released := func(arch string) []byte { return programInArchive(t, first, arch) }
	if !bytes.Equal(programInImage(t, docker, native.ID), released(native.Architecture)) {
		t.Error("the programs in the image and in the release differ")
	}

	// Use the client of the engine's package: newer clients do not include BuildKit.
	cli := docker.WithClient("/usr/bin/docker")
	buildImage(t, cli, "entrepot-e2e/entrepot:"+other, "DOCKER_BUILDKIT=1", "--platform", "linux/"+other)
	image := inspectImage(t, cli, "entrepot-e2e/entrepot:"+other)
	checkImage(t, image)
	program := programInImage(t, cli, image.ID)
	if !bytes.Equal(program, released(other)) {
		t.Errorf("the programs in the image and in the release differ for %s", other)
	}
	if image.Architecture != other {
		t.Errorf("architecture of the image for %s is %s", other, image.Architecture)
	}
	machines := map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}
	if binary, err := elf.NewFile(bytes.NewReader(program)); err != nil || binary.Machine != machines[other] {
		t.Errorf("the program in the image for %s is %+v, %v", other, binary, err)
	}
}

func makeRelease(t *testing.T, platforms []string) string {
	t.Helper()
	folder := t.TempDir()
	release := exec.Command(filepath.Join(testenv.Root(), "infra", "release", "release.sh"), append([]string{folder}, platforms...)...)
	release.Env = append(os.Environ(), "VERSION="+releaseVersion, "CYCLONEDX="+testenv.Tool(t, "cyclonedx-gomod"),
		"NFPM="+testenv.Tool(t, "nfpm"))
	output(t, release)
	return folder
}

func programInArchive(t *testing.T, folder, arch string) []byte {
	t.Helper()
	archives, err := filepath.Glob(filepath.Join(folder, "*_linux_"+arch+".tar.gz"))
	if err != nil || len(archives) != 1 {
		t.Fatalf("archives for %s: %v, %v", arch, archives, err)
	}
	unpacked, err := gzip.NewReader(bytes.NewReader(readFile(t, archives[0])))
	must(t, err, "unpack the archive")
	return fileInTar(t, unpacked, "/entrepot")
}

func programInImage(t *testing.T, docker *testenv.Docker, image string) []byte {
	t.Helper()
	container := strings.TrimSpace(output(t, docker.Command("create", image)))
	return fileInTar(t, strings.NewReader(output(t, docker.Command("cp", container+":/entrepot", "-"))), "entrepot")
}

// fileInTar returns the content of the file whose path ends in name.
func fileInTar(t *testing.T, r io.Reader, name string) []byte {
	t.Helper()
	archive := tar.NewReader(r)
	for {
		header, err := archive.Next()
		must(t, err, "look for "+name)
		if header.Typeflag == tar.TypeReg && strings.HasSuffix(header.Name, name) {
			content, err := io.ReadAll(archive)
			must(t, err, "read "+name)
			return content
		}
	}
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(path)
	must(t, err, "read a file")
	return content
}
